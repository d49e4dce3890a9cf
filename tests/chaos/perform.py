"""One fault, many times, on a running instance under load; and whether anything is lost or double after it."""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from schemas.errors import BrokerUnavailable, StoreUnavailable
from tests.chaos.compare import Differences, differences, unequal_minutes
from tests.chaos.load import Load, Rate, wall_ms
from tests.chaos.stage import Stage, Staged
from tests.e2e.running import eventually

SETTLED_S = 150.0
MINUTES_S = 30.0
LOOK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault.

    Attributes:
        title: For the table.
        stage: Where it happens.
        strike: Does it there under load, so many times, with every choice from the numbers; raises what it finds wrong.
        short: How many times in CI.
        long: How many times in `make chaos`.
        rate: Of the load.
    """

    title: str
    stage: Staged
    strike: Callable[[Stage, random.Random, int], None]
    short: int
    long: int
    rate: Rate = Rate()  # noqa: RUF009  (frozen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a fault has done.

    Attributes:
        count: How many times it struck.
        seconds: How long the load ran.
        unsent: Records that were acknowledged to their producer and do not stand in the log.
        found: Between the log and ClickHouse.
        notes: What the fault told.
    """

    count: int
    seed: int
    seconds: float
    unsent: int
    found: Differences
    notes: str

    @property
    def lost(self) -> int:
        """All that is missing, or not what it should be."""
        return self.unsent + self.found.lost

    @property
    def double(self) -> int:
        """All that is too much."""
        return self.found.double


def perform(fault: Fault, stage: Stage, *, name: str, count: int, seed: int) -> Outcome:
    """Has a fault strike under load, and compares when the load is over.

    Args:
        name: Of the load: not twice on one stage.
    """
    stage.notes = []
    stage.load = Load(stage.config, seed, name=name, rate=fault.rate)
    began_s = time.monotonic()
    _strike(fault, stage, stage.load, random.Random(seed), count)
    seconds = time.monotonic() - began_s
    found = _settled(stage, wall_ms())
    return Outcome(
        count=count,
        seed=seed,
        seconds=seconds,
        unsent=stage.follow().unsent(stage.load.acknowledged()),
        found=found,
        notes=", ".join(stage.notes),
    )


def _strike(fault: Fault, stage: Stage, load: Load, numbers: random.Random, count: int) -> None:
    """The load has the other thread: a service that the fault starts anew ends with the thread that started it."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        sending = beside.submit(asyncio.run, load.run())
        try:
            fault.strike(stage, numbers, count)
        finally:
            load.stop()
            sending.result()


def _settled(stage: Stage, before_ms: int) -> Differences:
    """What differs when nothing differs any more, or after a time that is long enough."""
    found: list[Differences] = []

    def nothing_differs() -> bool:
        with suppress(BrokerUnavailable, StoreUnavailable):
            found.append(differences(stage.follow(), stage.store, before_ms=before_ms))
            return not (found[-1].lost or found[-1].double)
        return False

    with suppress(AssertionError):
        eventually("ClickHouse holds what the log says", nothing_differs, within_s=SETTLED_S, every_s=LOOK_S)
    assert found, "Kafka or ClickHouse does not answer"
    assert found[-1].samples > 0
    return found[-1]


def wrong_minutes(stage: Stage) -> int:
    """Minutes that are not what their windows add up to, when there are none any more, or after long enough."""
    with suppress(AssertionError):
        eventually("every minute", lambda: not unequal_minutes(stage.store), within_s=MINUTES_S, every_s=LOOK_S)
    return unequal_minutes(stage.store)
