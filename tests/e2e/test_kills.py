"""kill -9 of every process but the embedded broker, at random points under load: nothing is lost, nothing is double."""

import asyncio
import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from connect.config import KafkaConfig
from connect.kafka import consumer
from connect.offsets import end_offsets
from connect.publisher import Publisher
from tests.e2e.oracle import Key, Total, plain_fold
from tests.e2e.running import Running, eventually, running

KILLS = int(os.environ.get("WATCHKEEPER_TEST_KILLS", "20"))
SEED = int(os.environ.get("WATCHKEEPER_TEST_SEED", "20261123"))
VICTIMS = ("collect", "process", "sink", "clickhouse")
SOURCES, METRICS, RECORDS_PER_S = 20, 20, 40

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


class Load:
    """Producers that emit until stopped, and remember how much was acknowledged."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._stopping = asyncio.Event()
        self.acknowledged: set[tuple[str, str, int]] = set()
        self.published = 0

    async def run(self) -> None:
        """One publisher for each source; every second all is flushed: then it is acknowledged."""
        publishers = [Publisher(self._config, source=f"load-{number}", clock=wall_ms) for number in range(SOURCES)]
        for publisher in publishers:
            await publisher.start()
        numbers = random.Random(SEED)
        while not self._stopping.is_set():
            for _ in range(RECORDS_PER_S // SOURCES):
                for number, publisher in enumerate(publishers):
                    samples = [
                        {"metric": f"load.metric_{index}", "value": numbers.randrange(1000)} for index in range(METRICS)
                    ]
                    await publisher.publish("metrics.samples", f"load-{number}", {"samples": samples}, wall_ms())
                    self.published += 1
            await asyncio.gather(*(publisher.flush() for publisher in publishers))
            with_deadline = asyncio.wait_for(self._stopping.wait(), 1.0)
            await asyncio.gather(with_deadline, return_exceptions=True)
        for publisher in publishers:
            await publisher.stop(10.0)

    def stop(self) -> None:
        """No new records."""
        self._stopping.set()


def wall_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def kill_at_random(instance: Running, numbers: random.Random) -> list[str]:
    """Kills one process after another, each at a random moment; what was killed."""
    killed: list[str] = []
    while len(killed) < KILLS:
        victim = numbers.choice(VICTIMS)
        pid = eventually(f"{victim} runs", partial(pid_of, instance, victim), within_s=60)
        moment = time.monotonic() + numbers.uniform(0.0, 6.0)
        eventually("the moment", partial(passed, moment), within_s=10, every_s=0.005)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed.append(victim)
    return killed


def passed(moment: float) -> bool:
    """Whether a moment of the monotonic clock is over."""
    return time.monotonic() >= moment


def pid_of(instance: Running, name: str) -> int | None:
    """Process id, while it runs."""
    process = instance.status().get("processes", {}).get(name, {})
    return process.get("pid") if process.get("state") == "running" else None


async def log_of(config: KafkaConfig) -> dict[int, list[bytes]]:
    """Every value of `metrics.samples`, by partition."""
    ends = await end_offsets(config, ["metrics.samples"])
    log: dict[int, list[bytes]] = {partition: [] for _, partition in ends}
    reader = consumer(config, group_id=None, auto_offset_reset="earliest")
    await reader.start()
    try:
        from aiokafka import TopicPartition

        reader.assign([TopicPartition(topic, partition) for topic, partition in ends])
        await reader.seek_to_beginning()
        while any(len(log[partition]) < end for (_, partition), end in ends.items()):
            for tp, records in (await reader.getmany(timeout_ms=500)).items():
                log[tp.partition] += [record.value for record in records]
    finally:
        await reader.stop()
    return log


def expected(config: KafkaConfig, before_ms: int) -> dict[Key, Total]:
    """The plain fold of the whole log, of windows that end before a time."""
    together: dict[Key, Total] = {}
    for values in asyncio.run(log_of(config)).values():
        together |= plain_fold(values)
    return {key: total for key, total in together.items() if key[1] + 10_000 <= before_ms}


def stored(instance: Running, before_ms: int) -> dict[Key, Total]:
    """What ClickHouse holds of the same windows."""
    rows = instance.rows(
        "SELECT toString(series) AS series, toUnixTimestamp64Milli(window_start) AS start, sum(n) AS n, sum(sum) AS s,"
        " toString(sum(h_sum)) AS hs, toString(groupBitXor(h_xor)) AS hx"
        " FROM watchkeeper_store.rollups FINAL WHERE topic = 'metrics.samples' GROUP BY series, window_start"
    )
    return {
        (int(row["series"]), int(row["start"])): Total(int(row["n"]), float(row["s"]), int(row["hs"]), int(row["hx"]))
        for row in rows
        if int(row["start"]) + 10_000 <= before_ms
    }


def differences(want: dict[Key, Total], have: dict[Key, Total]) -> dict[str, list[Key]]:
    """Keys that are missing, too many, or not equal."""
    close = {key for key in want.keys() & have.keys() if not same(want[key], have[key])}
    return {
        "lost": sorted(want.keys() - have.keys()),
        "double": sorted(have.keys() - want.keys()),
        "unequal": sorted(close),
    }


def same(one: Total, other: Total) -> bool:
    """Equal counts and hashes; sums equal but for the order of additions."""
    return (one.n, one.h_sum, one.h_xor) == (other.n, other.h_sum, other.h_xor) and one.total == pytest.approx(
        other.total
    )


async def kills_under_load(instance: Running, config: KafkaConfig) -> tuple[list[str], Load]:
    """Runs the load, and the kills beside it."""
    load = Load(config)
    running_load = asyncio.create_task(load.run())
    try:
        killed = await asyncio.to_thread(kill_at_random, instance, random.Random(SEED))
    finally:
        load.stop()
        await running_load
    return killed, load


def test_kill_9_at_random_points_under_load_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "data", tmp_path / "up.log") as instance:
        config = KafkaConfig(bootstrap=instance.status()["addresses"]["kafka"], idempotent=False)
        killed, load = asyncio.run(kills_under_load(instance, config))
        assert len(killed) == KILLS
        before_ms = wall_ms() - 10_000

        def nothing_differs() -> bool:
            return not any(differences(expected(config, before_ms), stored(instance, before_ms)).values())

        try:
            eventually("every rollup equals the plain fold", nothing_differs, within_s=90, every_s=2.0)
        except AssertionError:
            want, have = expected(config, before_ms), stored(instance, before_ms)
            found = {kind: len(keys) for kind, keys in differences(want, have).items()}
            raise AssertionError(f"seed {SEED}, killed {killed}: of {len(want)} series and windows {found}") from None
        want = expected(config, before_ms)
        of_load = sum(total.n for total in want.values())
        assert of_load > 0
        print(f"kills {KILLS}, seed {SEED}, rollups {len(want)}, records {load.published}, lost 0, double 0")
        assert instance.stop() == 0, instance.tail()
