"""Faults of what the processes stand on: networks, nodes, ClickHouse, disks."""

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import psutil

from connect.admin import client
from tests.chaos.freshness import Freshness
from tests.chaos.proxy import Mode
from tests.chaos.stage import Stage
from tests.conftest import STOP_S
from tests.e2e.running import eventually

BROKEN_S = (3.0, 12.0)
BETWEEN_S = (1.0, 4.0)
PAUSE_S = 6.0
GROWTH_BYTES = 64 * 1024 * 1024
"""How much more memory a process may take while ClickHouse is away: what is fetched ahead is bounded."""

FRESH_S = 5.0
FULL_BYTES = 4096
"""A disk that is full takes no more than this in any file."""

FULL_S = (6.0, 10.0)
UNSENT_S = 3.0
"""The collector sends once a second."""


def broken_network(
    modes: Sequence[Mode], where: Sequence[str], stage: Stage, numbers: random.Random, count: int
) -> None:
    """The connections to Kafka or to ClickHouse are delayed, starved, cut or forgotten, again and again."""
    for number in range(count):
        proxy = stage.proxies[where[number % len(where)]]
        proxy.set(modes[(number // len(where)) % len(modes)])
        stage.wait(numbers, *BROKEN_S)
        proxy.set(Mode.THROUGH)
        stage.wait(numbers, *BETWEEN_S)


def outage(stage: Stage, numbers: random.Random, count: int) -> None:
    """ClickHouse is gone for so many seconds. Memory stays flat, and nobody is behind for as long again."""
    stage.wait(numbers, 5.0, 8.0)
    processes = {name: psutil.Process(stage.pid_of(name)) for name in ("process", "sink")}
    before = {name: process.memory_info().rss for name, process in processes.items()}
    peak = dict(before)
    stage.proxies["clickhouse"].set(Mode.GONE)
    gone_s = time.monotonic()
    while time.monotonic() < gone_s + count:
        peak = {name: max(peak[name], process.memory_info().rss) for name, process in processes.items()}
        time.sleep(0.5)
    stage.proxies["clickhouse"].set(Mode.THROUGH)
    back_s, freshness = time.monotonic(), Freshness(stage)
    eventually("all is stored again", lambda: freshness.fresh(FRESH_S), within_s=count + 60.0)
    caught_up_s = time.monotonic() - back_s
    growth = {name: peak[name] - before[name] for name in before}
    told = ", ".join(f"{name} +{grown / 1e6:.0f} MB" for name, grown in growth.items())
    assert stage.load is not None
    rate = f"{stage.load.rate.samples_per_s:.0f} samples/s"
    stage.notes.append(f"caught up {caught_up_s:.1f} s after {count} s at {rate}, memory: {told}")
    assert max(growth.values()) < GROWTH_BYTES, told
    assert caught_up_s < count, f"caught up only after {caught_up_s:.1f} s"


def lost_nodes(stage: Stage, numbers: random.Random, count: int) -> None:
    """kill -9 of one of three nodes after the other; the next one only when all are back."""
    for _ in range(count):
        node = numbers.choice(stage.nodes)
        stage.wait(numbers, 0.0, PAUSE_S)
        assert node.pid is not None
        os.kill(node.pid, signal.SIGKILL)
        node.stop(STOP_S)
        stage.wait(numbers, 0.0, PAUSE_S)
        node.start()
        eventually("every partition has all its replicas", partial(_all_in_sync, stage), within_s=60)


def _all_in_sync(stage: Stage) -> bool:
    async def ask() -> bool:
        async with client(stage.config) as admin:
            topics = await admin.describe_topics()
        partitions = [one for topic in topics for one in topic["partitions"]]
        return all(len(one["isr"]) == min(len(stage.nodes), len(one["replicas"])) for one in partitions)

    return asyncio.run(ask())


def full_disk(stage: Stage, numbers: random.Random, count: int) -> None:
    """The disk of ClickHouse, then that of the spool while Kafka is away, takes nothing more for a while."""
    for number in range(count):
        stage.wait(numbers, 1.0, 4.0)
        if number % 2:
            _full_spool(stage, numbers)
        else:
            _full_clickhouse(stage, numbers)


def _full_clickhouse(stage: Stage, numbers: random.Random) -> None:
    """Each ClickHouse that is started ends itself rather than say what is not so, until there is room again."""
    until_s = time.monotonic() + numbers.uniform(*FULL_S) * stage.pace
    ends = 0
    while not ends or time.monotonic() < until_s:
        pid = stage.pid_of("clickhouse")
        with _full(pid):
            eventually("ClickHouse ends itself", partial(_gone, pid), within_s=30)
        ends += 1
    eventually("the sink goes on by itself", lambda: stage.figures("sink").get("paused") is False, within_s=60)
    stage.notes.append(f"ClickHouse began again {ends} times")


def _gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


def _full_spool(stage: Stage, numbers: random.Random) -> None:
    broker = stage.pid_of("broker")
    os.kill(broker, signal.SIGSTOP)
    try:
        with _full(stage.pid_of("collect")):
            eventually("Kafka takes nothing", partial(_nothing_published, stage), within_s=30)
            stage.wait(numbers, *FULL_S)
            assert stage.figures("collect")["spooled_records"] == 0, "records count as spooled that no disk has"
        eventually("records wait on disk", lambda: stage.figures("collect")["spooled_records"], within_s=30)
    finally:
        os.kill(broker, signal.SIGCONT)
    eventually("nothing waits", lambda: stage.figures("collect").get("spooled_records") == 0, within_s=60)
    machine = socket.gethostname()
    eventually("each second of the machine", lambda: stage.follow().gaps(machine) == 0, within_s=30)


def _nothing_published(stage: Stage) -> bool:
    before = stage.figures("collect")["published_total"]
    time.sleep(UNSENT_S)
    return bool(stage.figures("collect")["published_total"] == before)


@contextmanager
def _full(pid: int) -> Iterator[None]:
    """No file of a process gets longer than a few kilobytes, as on a disk that is full."""
    process = psutil.Process(pid)
    _, most = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (FULL_BYTES, most))
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_FSIZE, (most, most))
