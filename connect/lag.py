"""Looks at the lag of a reader of Kafka each second."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic

from connect.clock import now_ms
from connect.kafka import KafkaError
from engine.lag import Lag, Pace, Partition, Place

EVERY_S = 1.0
STALE_S = 2.0


class LagWatch(Generic[Partition]):
    """Looks while `run` runs.

    Args:
        places: Where each partition is read, with its end as far as fetches told it, which may be long ago.
        ends: Asks the broker for the ends. Raises KafkaError where it does not answer.
    """

    def __init__(
        self,
        *,
        places: Callable[[], Mapping[Partition, Place]],
        ends: Callable[[], Awaitable[Mapping[Partition, int]]],
    ) -> None:
        self.lag = Lag(0, None, None)
        self._places = places
        self._ask = ends
        self._ends: Mapping[Partition, int] = {}

    async def run(self) -> None:
        """Looks until cancelled. While Kafka does not tell the ends, those of before count."""
        pace, asking, asked_s = Pace[Partition](), None, 0.0
        try:
            while True:
                if asking is None:
                    asking, asked_s = asyncio.ensure_future(self._asked()), time.monotonic()
                if (await asyncio.wait([asking], timeout=EVERY_S))[0]:
                    self._ends, asking = asking.result(), None
                if time.monotonic() - asked_s > STALE_S:
                    # What is found to stand there later has not come only then.
                    pace.begin_anew()
                self.lag = pace.look(time.monotonic(), now_ms(), self._seen())
                await asyncio.sleep(EVERY_S)
        finally:
            if asking is not None:
                # Cut off, it may leave a connection behind that nobody closes.
                await asyncio.wait([asking], timeout=EVERY_S)
                asking.cancel()

    async def _asked(self) -> Mapping[Partition, int]:
        try:
            return await self._ask()
        except KafkaError:
            return self._ends

    def _seen(self) -> dict[Partition, Place]:
        ends = self._ends
        return {
            partition: place._replace(end=max(place.end, ends.get(partition, 0)))
            for partition, place in self._places().items()
        }
