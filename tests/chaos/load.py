"""Producers under whose load faults happen, and what of theirs was acknowledged."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import suppress

from connect.config import KafkaConfig
from connect.publisher import Publisher

PREFIX = "load-"
"""Of the names of all sources of ours."""

SOURCES = 20
METRICS = 20
EVERY_S = 0.5
"""Each source sends a record of so many samples, again and again."""

PATIENCE_S = 180.0


def wall_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Load:
    """Each source sends its records one by one, and remembers how many of them were acknowledged.

    Args:
        name: Tells its sources from those of other loads on the same log.
        seed: Of the values.
    """

    def __init__(self, config: KafkaConfig, seed: int, *, name: str) -> None:
        self.prefix = f"{PREFIX}{name}-"
        self._config = config
        self._seed = seed
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._counts: dict[str, int] = {}

    def acknowledged(self) -> Iterator[tuple[str, int]]:
        """Source and number of each record that must stand in the log."""
        for source, count in dict(self._counts).items():
            for seq in range(count):
                yield source, seq

    async def run(self) -> None:
        """Sends until stopped; returns when everything is acknowledged."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for number in range(SOURCES):
                group.create_task(self._source(f"{self.prefix}{number}", random.Random(f"{self._seed} {number}")))

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
                async with asyncio.timeout(EVERY_S):
                    await self._stopping.wait()
        await publisher.stop(10.0)

    def _samples(self, numbers: random.Random) -> Iterator[dict[str, object]]:
        for index in range(METRICS):
            yield {"metric": f"load.metric_{index}", "value": numbers.randrange(1000)}

    def stop(self) -> None:
        """No new records. Callable from any thread."""
        if self._loop is None:  # it has not begun
            self._stopping.set()
        else:
            self._loop.call_soon_threadsafe(self._stopping.set)
