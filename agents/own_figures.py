"""The worker's own figures, sent as samples the way of everybody's: so rules can look at the pipeline itself."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from agents.batches import Partition
from connect.publisher import Publisher
from schemas.errors import BrokerUnavailable
from schemas.topics import SAMPLES

EVERY_MS = 5_000
_TOPIC = "messaging.destination.name"
_PARTITION = "messaging.destination.partition.id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How the worker stands.

    Attributes:
        deadletters_total: By topic, records that could not be used, since the worker began.
        lag_records: By partition, what waits to be folded.
    """

    deadletters_total: Mapping[str, int] = field(default_factory=dict)
    lag_records: Mapping[Partition, int] = field(default_factory=dict)


class OwnFigures:
    """Publishes them again and again. What cannot be sent for long is given up: figures of the past help nobody.

    Args:
        publisher: Not started yet. Its source is the machine.
        read: The figures of now.
        clock_ms: Wall clock, epoch milliseconds.
    """

    def __init__(
        self, publisher: Publisher, *, source: str, read: Callable[[], Figures], clock_ms: Callable[[], int]
    ) -> None:
        self._publisher = publisher
        self._source = source
        self._read = read
        self._clock_ms = clock_ms
        self._told: Mapping[str, int] = {}

    async def run(self) -> None:
        """Publishes until cancelled, at whole intervals."""
        await self._publisher.start()
        while True:
            await asyncio.sleep((EVERY_MS - self._clock_ms() % EVERY_MS) / 1000)
            with suppress(BrokerUnavailable):
                await self._publish()

    async def _publish(self) -> None:
        figures = self._read()
        samples = [*_deadletters(figures, self._told), *_lags(figures)]
        if samples:
            await self._publisher.publish(SAMPLES.name, self._source, {"samples": samples}, self._clock_ms())
        self._told = dict(figures.deadletters_total)

    async def stop(self, deadline_s: float) -> None:
        """Sends what waits, as far as there is time. Safe twice."""
        await self._publisher.stop(deadline_s)


def _deadletters(figures: Figures, told: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Of each topic those that came since: 0 too, so that an alert ends when there are none any more."""
    for topic, total in figures.deadletters_total.items():
        more = total - told.get(topic, 0)
        yield {"metric": "watchkeeper.deadletters", "kind": "delta", "value": more, "dimensions": {_TOPIC: topic}}


def _lags(figures: Figures) -> Iterator[dict[str, Any]]:
    for (topic, number), lag in figures.lag_records.items():
        yield {"metric": "watchkeeper.lag", "value": lag, "dimensions": {_TOPIC: topic, _PARTITION: str(number)}}
