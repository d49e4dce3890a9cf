"""One fault, many times, on a running instance under load; and whether anything is lost or double after it."""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.compare import Differences, differences, expected, log_of, stored, unsent
from tests.chaos.faults import Fault
from tests.chaos.load import Load, wall_ms
from tests.chaos.stage import Stage
from tests.e2e.running import eventually

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
    with fault.stage(folder) as stage:
        load, began_s = Load(stage.config, seed), time.monotonic()
        asyncio.run(_strike(fault, stage, load, random.Random(seed), count))
        seconds, before_ms = time.monotonic() - began_s, wall_ms()
        found = _settled(stage, before_ms)
        lost = unsent(asyncio.run(log_of(stage.config)), load.acknowledged)
        assert stage.instance.stop() == 0, stage.instance.tail()
    return Outcome(count=count, seed=seed, seconds=seconds, unsent=lost, found=found)


async def _strike(fault: Fault, stage: Stage, load: Load, numbers: random.Random, count: int) -> None:
    sending = asyncio.create_task(load.run())
    try:
        await asyncio.to_thread(fault.strike, stage, numbers, count)
    finally:
        load.stop()
        await sending


def _settled(stage: Stage, before_ms: int) -> Differences:
    """What differs when nothing differs any more, or after a time that is long enough."""
    found: list[Differences] = []

    def nothing_differs() -> bool:
        log = asyncio.run(log_of(stage.config))
        have = stored(stage.instance, before_ms=before_ms)
        found.append(differences(expected(log, before_ms=before_ms), have))
        return found[-1].none and found[-1].samples > 0

    with suppress(AssertionError):
        eventually("every rollup equals the plain fold", nothing_differs, within_s=SETTLED_S, every_s=2.0)
    return found[-1]
