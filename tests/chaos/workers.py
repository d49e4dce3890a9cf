"""Faults of processes: killed, ended, frozen, hanging, coming and going; at random moments and at named points."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import psutil

from tests.chaos.crashing import Point
from tests.chaos.freshness import Freshness
from tests.chaos.load import wall_ms
from tests.chaos.producer import DAY_MS, Producer
from tests.chaos.stage import Stage
from tests.e2e.running import eventually

PAUSE_S = 6.0
"""The most time between two kills."""

SESSION_S = 10.0
JOIN_S = 3.0
MIN_EXTRA, MAX_EXTRA = 1, 3
REACHED_S = 90.0
REVOKES = {Point.SINK_REVOKE: "sink", Point.PROCESS_REVOKE: "process"}


def kills(victims: Sequence[str], how: signal.Signals, stage: Stage, numbers: random.Random, count: int) -> None:
    """A signal to one process after another, each at a random moment, and each as often as the others."""
    sent, order = 0, list[str]()
    while sent < count:
        order = order or numbers.sample(victims, len(victims))
        pid = stage.pid_of(order[-1])
        stage.wait(numbers, 0.0, PAUSE_S)
        try:
            os.kill(pid, how)
        except ProcessLookupError:  # it has gone by itself: that is no kill of ours
            continue
        order.pop()
        sent += 1


def ended_instances(stage: Stage, numbers: random.Random, count: int) -> None:
    """kill -9 of `up` itself: everything of it ends with it, and it is started again on the same folder."""
    for _ in range(count):
        stage.wait(numbers, 2.0, 2.0 + PAUSE_S)
        up = psutil.Process(stage.instance.process.pid)
        family = up.children(recursive=True)
        up.kill()
        stage.instance.process.wait()
        _, left = psutil.wait_procs(family, timeout=5.0)
        assert not left, f"outlived `up`: {left}"
        stage.begin()


def zombies(stage: Stage, numbers: random.Random, count: int) -> None:
    """A worker is frozen for longer than its session, another takes over, and it thaws."""
    with stage.extra("process"), stage.extra("sink"):
        for number in range(count):
            pid = stage.pid_of(("process", "sink")[number % 2])
            stage.wait(numbers, 2.0, 6.0)
            os.kill(pid, signal.SIGSTOP)
            frozen_ms = wall_ms()
            try:
                time.sleep(SESSION_S + numbers.uniform(2.0, 6.0))
                eventually(
                    "another has taken over",
                    lambda: Freshness(stage).oldest_ms() > frozen_ms,  # noqa: B023  (asked at once)
                    within_s=30,
                )
            finally:
                os.kill(pid, signal.SIGCONT)
        stage.wait(numbers, 2.0, 6.0)


def storm(stage: Stage, numbers: random.Random, count: int) -> None:
    """Two to four workers: one joins or leaves each 3 s, in order or not. All the time they get on."""
    freshness = Freshness(stage)
    began_s = time.monotonic()
    with ExitStack() as stack:
        extra = [_joined(stage, stack)]
        for _ in range(count):
            turn_s = time.monotonic()
            if len(extra) == MAX_EXTRA or (len(extra) > MIN_EXTRA and numbers.random() < 0.5):
                leaving = extra.pop(numbers.randrange(len(extra)))
                leaving.send_signal(numbers.choice((signal.SIGTERM, signal.SIGKILL)))
            else:
                extra.append(_joined(stage, stack))
            freshness.look()
            time.sleep(max(0.0, turn_s + JOIN_S - time.monotonic()))
        freshness.look()
    stage.notes.append(f"{time.monotonic() - began_s:.0f} s, at most {freshness.worst_s:.0f} s behind")
    assert freshness.worst_s < min(60.0, 30.0 + JOIN_S * count), f"no progress for {freshness.worst_s:.0f} s"


def _joined(stage: Stage, stack: ExitStack) -> "subprocess.Popen[bytes]":
    worker = stage.worker("process")
    stack.callback(worker.wait, 30)
    stack.callback(worker.terminate)
    return worker


def points(which: Sequence[Point], stage: Stage, numbers: random.Random, count: int) -> None:
    """A process ends itself at one named point after the other."""
    assert stage.points is not None
    for number in range(count):
        point = which[number % len(which)]
        stage.wait(numbers, 0.5, 2.0)
        _reach(stage, point)
    stage.notes.append(f"{len(which)} points, each at least {count // len(which)} times")


def _reach(stage: Stage, point: Point) -> None:
    """Arms a point, does what leads to it, and waits until somebody was there."""
    assert stage.points is not None
    armed = stage.points / point.name
    if point in REVOKES:
        # One that has partitions loses some when another joins; of two that come together neither does.
        eventually(f"{REVOKES[point]} works", partial(stage.works, REVOKES[point]), within_s=REACHED_S)
    armed.touch()
    with ExitStack() as stack:
        if point in REVOKES:
            stack.enter_context(stage.extra(REVOKES[point]))
        if point is Point.BETWEEN_PARTITIONS:
            _two_days(stack.enter_context(Producer(stage, "load-days")))
        eventually(f"a process ends {point}", lambda: not armed.exists(), within_s=REACHED_S)


def _two_days(one: Producer) -> None:
    """Samples of today and of yesterday, together: the rows of one insert belong to two partitions of the table."""
    one.send([one.record(ago_ms=ago_ms) for _ in range(20) for ago_ms in (0, DAY_MS)])


def hang(stage: Stage, numbers: random.Random, count: int) -> None:
    """The fold hangs: the watchdog ends the process, and another takes over."""
    with stage.extra("process"):
        for _ in range(count):
            stage.wait(numbers, 1.0, 4.0)
            _reach(stage, Point.HANG)
            hung_ms = wall_ms()
            eventually("another goes on", partial(_fresh_since, stage, hung_ms), within_s=REACHED_S)


def _fresh_since(stage: Stage, since_ms: int) -> bool:
    return Freshness(stage).oldest_ms() > since_ms
