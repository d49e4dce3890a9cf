"""The faults: what is done to a running instance, how often, and on which broker."""

import asyncio
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

from connect.admin import client
from tests.chaos.proxy import Mode
from tests.chaos.stage import Stage, Staged, cluster, embedded_kafka, embedded_tansu, proxied
from tests.conftest import STOP_S
from tests.e2e.running import Running, eventually

PAUSE_S = 6.0
"""The most time between two kills."""

SESSION_S = 10.0
JOIN_S = 3.0
MAX_EXTRA = 3
BROKEN_S = (3.0, 12.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault.

    Attributes:
        title: For the table.
        stage: Where it happens.
        strike: Does it there under load, so many times.
        short: How many times in CI.
        long: How many times in `make chaos`.
    """

    title: str
    stage: Staged
    strike: Callable[[Stage, random.Random, int], None]
    short: int
    long: int


def kills(victims: Sequence[str], stage: Stage, numbers: random.Random, count: int) -> None:
    """kill -9 of one process after another, each at a random moment."""
    killed = 0
    while killed < count:
        victim = numbers.choice(victims)
        pid = eventually(f"{victim} runs", partial(_pid_of, stage.instance, victim), within_s=60)
        _until(time.monotonic() + numbers.uniform(0.0, PAUSE_S))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed += 1


def zombies(stage: Stage, numbers: random.Random, count: int) -> None:
    """A worker is frozen for longer than its session, another takes over, and it thaws."""
    instance = stage.instance
    with _extra(instance, "process"), _extra(instance, "sink"):
        for _ in range(count):
            pid = eventually("it runs", partial(_pid_of, instance, numbers.choice(("process", "sink"))), within_s=60)
            os.kill(pid, signal.SIGSTOP)
            _until(time.monotonic() + SESSION_S + numbers.uniform(2.0, 6.0))
            os.kill(pid, signal.SIGCONT)
            _until(time.monotonic() + numbers.uniform(2.0, 6.0))


def storm(stage: Stage, numbers: random.Random, count: int) -> None:
    """Workers join and leave all the time, in order or not."""
    extra: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            if extra and (len(extra) == MAX_EXTRA or numbers.random() < 0.5):
                leaving = extra.pop(numbers.randrange(len(extra)))
                leaving.send_signal(numbers.choice((signal.SIGTERM, signal.SIGKILL)))
                leaving.wait(30)
            else:
                extra.append(_worker(stage.instance, "process"))
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


def broken_network(
    modes: Sequence[Mode], where: Sequence[str], stage: Stage, numbers: random.Random, count: int
) -> None:
    """The connections to Kafka or to ClickHouse are delayed, starved, cut or forgotten, again and again."""
    for number in range(count):
        proxy = stage.proxies[where[number % len(where)]]
        proxy.set(modes[(number // len(where)) % len(modes)])
        _until(time.monotonic() + numbers.uniform(*BROKEN_S))
        proxy.set(Mode.THROUGH)
        _until(time.monotonic() + numbers.uniform(1.0, 4.0))


def lost_nodes(stage: Stage, numbers: random.Random, count: int) -> None:
    """kill -9 of one of three nodes after the other; the next one only when all are back."""
    for _ in range(count):
        node = numbers.choice(stage.nodes)
        _until(time.monotonic() + numbers.uniform(0.0, PAUSE_S))
        assert node.pid is not None
        os.kill(node.pid, signal.SIGKILL)
        node.stop(STOP_S)
        _until(time.monotonic() + numbers.uniform(0.0, PAUSE_S))
        node.start()
        eventually("every partition has all its replicas", partial(_all_in_sync, stage), within_s=60)


def _all_in_sync(stage: Stage) -> bool:
    async def ask() -> bool:
        async with client(stage.config) as admin:
            topics = await admin.describe_topics()
        partitions = [one for topic in topics for one in topic["partitions"]]
        return all(len(one["isr"]) == min(len(stage.nodes), len(one["replicas"])) for one in partitions)

    return asyncio.run(ask())


OURS = ("collect", "process", "sink", "clickhouse")
NETWORK = (Mode.LATENCY, Mode.RESET, Mode.HALF_OPEN, Mode.SLOW)
STORE = (Mode.REFUSE, Mode.ERROR, Mode.SLOW, Mode.HALF_OPEN)
FAULTS: Mapping[str, Fault] = {
    "kills": Fault(
        title="kill -9 of collect, process, sink, ClickHouse at random moments",
        stage=embedded_tansu,
        strike=partial(kills, OURS),
        short=20,
        long=200,
    ),
    "kills-kafka": Fault(
        title="the same on Apache Kafka, and kill -9 of the broker",
        stage=embedded_kafka,
        strike=partial(kills, (*OURS, "broker")),
        short=8,
        long=200,
    ),
    "zombies": Fault(
        title="SIGSTOP of process or sink beyond the session timeout, another takes over, SIGCONT",
        stage=embedded_kafka,
        strike=zombies,
        short=1,
        long=20,
    ),
    "storm": Fault(
        title="one to four workers join and leave every 3 s, in order or by kill -9",
        stage=embedded_kafka,
        strike=storm,
        short=5,
        long=100,
    ),
    "nodes": Fault(
        title="kill -9 of one of three Kafka nodes, acks=all",
        stage=cluster,
        strike=lost_nodes,
        short=2,
        long=30,
    ),
    "network": Fault(
        title="to Kafka and to ClickHouse: latency, resets, half-open, 1 byte/s",
        stage=proxied,
        strike=partial(broken_network, NETWORK, ("kafka", "clickhouse")),
        short=8,
        long=120,
    ),
    "clickhouse": Fault(
        title="ClickHouse accepts and closes, answers 500, is slow, is gone",
        stage=proxied,
        strike=partial(broken_network, STORE, ("clickhouse",)),
        short=4,
        long=80,
    ),
}
