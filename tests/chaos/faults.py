"""The faults: what is done to a running instance, how often, and on which broker."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tests.e2e.running import Running, eventually

PAUSE_S = 6.0
"""The most time between two kills."""

SESSION_S = 10.0
JOIN_S = 3.0
MAX_EXTRA = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault.

    Attributes:
        title: For the table.
        broker: `tansu`, or `kafka` for Apache Kafka.
        strike: Does it to an instance under load so many times.
        short: How many times in CI.
        long: How many times in `make chaos`.
    """

    title: str
    broker: str
    strike: Callable[[Running, random.Random, int], None]
    short: int
    long: int


def kills(victims: Sequence[str], instance: Running, numbers: random.Random, count: int) -> None:
    """kill -9 of one process after another, each at a random moment."""
    killed = 0
    while killed < count:
        victim = numbers.choice(victims)
        pid = eventually(f"{victim} runs", partial(_pid_of, instance, victim), within_s=60)
        _until(time.monotonic() + numbers.uniform(0.0, PAUSE_S))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed += 1


def zombies(instance: Running, numbers: random.Random, count: int) -> None:
    """A worker is frozen for longer than its session, another takes over, and it thaws."""
    with _extra(instance, "process"), _extra(instance, "sink"):
        for _ in range(count):
            pid = eventually("it runs", partial(_pid_of, instance, numbers.choice(("process", "sink"))), within_s=60)
            os.kill(pid, signal.SIGSTOP)
            _until(time.monotonic() + SESSION_S + numbers.uniform(2.0, 6.0))
            os.kill(pid, signal.SIGCONT)
            _until(time.monotonic() + numbers.uniform(2.0, 6.0))


def storm(instance: Running, numbers: random.Random, count: int) -> None:
    """Workers join and leave all the time, in order or not."""
    extra: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            if extra and (len(extra) == MAX_EXTRA or numbers.random() < 0.5):
                leaving = extra.pop(numbers.randrange(len(extra)))
                leaving.send_signal(numbers.choice((signal.SIGTERM, signal.SIGKILL)))
                leaving.wait(30)
            else:
                extra.append(_worker(instance, "process"))
            _until(time.monotonic() + JOIN_S)
    finally:
        for one in extra:
            one.terminate()
        for one in extra:
            one.wait(30)


@contextmanager
def _extra(instance: Running, role: str) -> Iterator[None]:
    worker = _worker(instance, role)
    yield
    worker.terminate()
    worker.wait(30)


def _worker(instance: Running, role: str) -> subprocess.Popen[bytes]:
    """One more of a role, beside that of the instance."""
    own = {f"WATCHKEEPER_{role.upper()}_METRICS_PORT": "0"}
    with (instance.data_dir / "logs" / f"extra-{role}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "watchkeeper", role, "--data-dir", str(instance.data_dir)],
            env={**os.environ, **own},
            stdout=log,
            stderr=log,
        )


def _pid_of(instance: Running, name: str) -> int | None:
    process = instance.status().get("processes", {}).get(name, {})
    return process.get("pid") if process.get("state") == "running" else None


def _until(moment_s: float) -> None:
    """Waits for a moment of the monotonic clock: it is the fault's own, no condition would bring it."""
    while (left_s := moment_s - time.monotonic()) > 0:
        time.sleep(left_s)


OURS = ("collect", "process", "sink", "clickhouse")
FAULTS: Mapping[str, Fault] = {
    "kills": Fault(
        title="kill -9 of collect, process, sink, ClickHouse at random moments",
        broker="tansu",
        strike=partial(kills, OURS),
        short=20,
        long=200,
    ),
    "kills-kafka": Fault(
        title="the same on Apache Kafka, and kill -9 of the broker",
        broker="kafka",
        strike=partial(kills, (*OURS, "broker")),
        short=8,
        long=200,
    ),
    "zombies": Fault(
        title="SIGSTOP of process or sink beyond the session timeout, another takes over, SIGCONT",
        broker="kafka",
        strike=zombies,
        short=1,
        long=20,
    ),
    "storm": Fault(
        title="one to four workers join and leave every 3 s, in order or by kill -9",
        broker="kafka",
        strike=storm,
        short=5,
        long=100,
    ),
}
