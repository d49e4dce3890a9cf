"""Time in the log: a tick each whole second in every partition of the input topics, from one worker."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

from agents.batches import Partition
from agents.metrics import Metrics
from connect.outbox import Message, Outbox
from schemas.topics import SAMPLES
from schemas.wire import Tick, encode

_LOG = logging.getLogger(__name__)

WRITER = Partition(SAMPLES.name, 0)
"""Who owns this partition writes the ticks."""

SECOND_MS = 1000
PATIENCE_S = 5.0


class Ticker:
    """Writes the ticks while `owned()` says that this worker is the one.

    Args:
        partitions: Of each input topic, how many.
        epochs: Incarnation of each input topic.
        clock_ms: Wall clock, epoch milliseconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        partitions: Mapping[str, int],
        epochs: Mapping[str, str],
        owned: Callable[[], bool],
        clock_ms: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        self._outbox = outbox
        self._partitions = partitions
        self._epochs = epochs
        self._owned = owned
        self._clock_ms = clock_ms
        self._metrics = metrics
        self._seq = 0

    async def run(self) -> None:
        """Writes until cancelled. A second in which Kafka is slow has no tick: the next one tells the same."""
        while True:
            now_ms = self._clock_ms()
            await asyncio.sleep((SECOND_MS - now_ms % SECOND_MS) / 1000)
            if self._owned():
                await self._write(round(self._clock_ms() / SECOND_MS) * SECOND_MS)

    async def _write(self, at_ms: int) -> None:
        self._seq += 1
        ticks = [
            Message(topic, None, value, number)
            for topic, count in self._partitions.items()
            for value in (encode(Tick(1, self._epochs[topic], at_ms, self._seq)),)
            for number in range(count)
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._outbox.deliver(ticks)
                self._metrics.ticks.inc()
                return
        self._metrics.missed_ticks.inc(PATIENCE_S)
        _LOG.warning("Kafka did not take the ticks within %g s", PATIENCE_S)
