"""Producers under whose load faults happen, and what of theirs was acknowledged."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from connect.config import KafkaConfig
from connect.publisher import Publisher

PREFIX = "load-"
"""Of the names of all sources of ours."""

PATIENCE_S = 180.0


def wall_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How much is sent: by each source a record of so many samples, again and again."""

    sources: int = 20
    metrics: int = 20
    every_s: float = 0.5

    @property
    def samples_per_s(self) -> float:
        """Of all sources together."""
        return self.sources * self.metrics / self.every_s


class Load:
    """Each source sends its records one by one, and remembers how many of them were acknowledged.

    Args:
        name: Tells its sources from those of other loads on the same log.
        seed: Of the values.
    """

    def __init__(self, config: KafkaConfig, seed: int, *, name: str, rate: Rate) -> None:
        self.rate = rate
        self.prefix = f"{PREFIX}{name}-"
        self._config = config
        self._seed = seed
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.over = threading.Event()
        self._counts: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def acknowledged(self) -> Iterator[tuple[str, int]]:
        """Source and number of each record that must stand in the log."""
        for source, count in dict(self._counts).items():
            for seq in range(self._before.get(source, 0), count):
                yield source, seq

    def excuse(self) -> None:
        """What was acknowledged until now need not be there: its topic was deleted."""
        self._before = dict(self._counts)

    async def run(self) -> None:
        """Sends until stopped; returns when everything is acknowledged."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for number in range(self.rate.sources):
                group.create_task(self._source(f"{self.prefix}{number}", random.Random(f"{self._seed} {number}")))
        self.over.set()

    async def _source(self, name: str, numbers: random.Random) -> None:
        publisher = Publisher(self._config, source=name, clock=wall_ms, patience_s=PATIENCE_S)
        await publisher.start()
        sent = 0
        while not self._stopping.is_set():
            await publisher.publish("metrics.samples", name, {"samples": list(self._samples(numbers))}, wall_ms())
            sent += 1
            await publisher.flush()
            self._counts[name] = sent
            with suppress(TimeoutError):
                async with asyncio.timeout(self.rate.every_s):
                    await self._stopping.wait()
        await publisher.stop(10.0)

    def _samples(self, numbers: random.Random) -> Iterator[dict[str, object]]:
        for index in range(self.rate.metrics):
            yield {"metric": f"load.metric_{index}", "value": numbers.randrange(1000)}

    def stop(self) -> None:
        """No new records. Callable from any thread; `over` tells when all is acknowledged."""
        if self._loop is None:  # it has not begun
            self._stopping.set()
        elif not self.over.is_set():
            self._loop.call_soon_threadsafe(self._stopping.set)
