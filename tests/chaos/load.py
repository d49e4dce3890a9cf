"""Producers under whose load faults happen, and what of theirs was acknowledged."""

import asyncio
import random
import time
from collections.abc import Iterator

from connect.config import KafkaConfig
from connect.publisher import Publisher

SOURCES, METRICS = 20, 20
EVERY_S = 0.5
PATIENCE_S = 120.0


def wall_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Load:
    """Each source sends a record each half second, and remembers how many of its records were acknowledged.

    Args:
        seed: Of the values.
    """

    def __init__(self, config: KafkaConfig, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._stopping = asyncio.Event()
        self.acknowledged: dict[str, int] = {}
        """Source to how many of its first records are acknowledged."""

    async def run(self) -> None:
        """Sends until stopped; returns when everything is acknowledged."""
        async with asyncio.TaskGroup() as group:
            for number in range(SOURCES):
                group.create_task(self._source(f"load-{number}", random.Random(f"{self._seed} {number}")))

    async def _source(self, name: str, numbers: random.Random) -> None:
        publisher = Publisher(self._config, source=name, clock=wall_ms, patience_s=PATIENCE_S)
        await publisher.start()
        sent = 0
        while not self._stopping.is_set():
            await publisher.publish("metrics.samples", name, {"samples": list(_samples(numbers))}, wall_ms())
            sent += 1
            await publisher.flush()
            self.acknowledged[name] = sent
            await asyncio.wait([asyncio.ensure_future(self._stopping.wait())], timeout=EVERY_S)
        await publisher.stop(10.0)

    def stop(self) -> None:
        """No new records."""
        self._stopping.set()


def _samples(numbers: random.Random) -> Iterator[dict[str, object]]:
    for index in range(METRICS):
        yield {"metric": f"load.metric_{index}", "value": numbers.randrange(1000)}
