"""One fault, many times, on a running instance under load; and whether anything is lost or double after it."""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from connect.config import KafkaConfig
from tests.chaos.compare import Differences, differences, expected, log_of, stored, unsent
from tests.chaos.faults import Fault
from tests.chaos.load import Load, wall_ms
from tests.e2e.running import Running, eventually, running

SETTLED_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a fault has done.

    Attributes:
        count: How many times it struck.
        seconds: How long the load ran.
        unsent: Records that were acknowledged to their producer and do not stand in the log.
        found: Between the log and ClickHouse.
    """

    count: int
    seed: int
    seconds: float
    unsent: int
    found: Differences

    @property
    def exact(self) -> bool:
        """Whether nothing is lost and nothing double."""
        return self.found.none and not self.unsent


def perform(fault: Fault, *, count: int, seed: int, folder: Path) -> Outcome:
    """Starts an instance, has the fault strike under load, and compares when the load is over."""
    with running(folder / "data", folder / "up.log", "--broker", fault.broker) as instance:
        config = KafkaConfig(bootstrap=instance.status()["addresses"]["kafka"], idempotent=fault.broker == "kafka")
        load, began_s = Load(config, seed), time.monotonic()
        asyncio.run(_strike(fault, instance, load, random.Random(seed), count))
        seconds, before_ms = time.monotonic() - began_s, wall_ms()
        found = _settled(instance, config, before_ms)
        lost = unsent(asyncio.run(log_of(config)), load.acknowledged)
        assert instance.stop() == 0, instance.tail()
    return Outcome(count=count, seed=seed, seconds=seconds, unsent=lost, found=found)


async def _strike(fault: Fault, instance: Running, load: Load, numbers: random.Random, count: int) -> None:
    sending = asyncio.create_task(load.run())
    try:
        await asyncio.to_thread(fault.strike, instance, numbers, count)
    finally:
        load.stop()
        await sending


def _settled(instance: Running, config: KafkaConfig, before_ms: int) -> Differences:
    """What differs when nothing differs any more, or after a time that is long enough."""
    found: list[Differences] = []

    def nothing_differs() -> bool:
        log = asyncio.run(log_of(config))
        have = stored(instance, before_ms=before_ms)
        found.append(differences(expected(log, before_ms=before_ms), have))
        return found[-1].none and found[-1].samples > 0

    with suppress(AssertionError):
        eventually("every rollup equals the plain fold", nothing_differs, within_s=SETTLED_S, every_s=2.0)
    return found[-1]
