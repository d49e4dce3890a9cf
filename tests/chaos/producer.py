"""A producer that sends what it should not."""

import asyncio
import json
import os
import random
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from connect.kafka import producer
from connect.outbox import Message, Outbox
from schemas.records import MAX_RECORD_BYTES
from tests.chaos.load import wall_ms
from tests.chaos.log import TOPIC
from tests.chaos.stage import Stage

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


class Producer:
    """Sends values of one source, as they are given; returns when they are acknowledged.

    Args:
        source: Key of its records. It begins as the names of the load do, so that all of it is compared.
    """

    def __init__(self, stage: Stage, source: str) -> None:
        self.source = source
        self._config = stage.config
        self._boot = os.urandom(8).hex()
        self._seq = 0
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.run(self._start())
        return self

    async def _start(self) -> None:
        self._client = producer(self._config)
        await self._client.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._client.stop())
        self._runner.close()

    def send(self, values: Iterable[bytes | None]) -> None:
        """In order, to the partition of the source."""
        key = self.source.encode()
        self._runner.run(Outbox(self._client).deliver([Message(TOPIC, key, value) for value in values]))

    def record(self, *, ago_ms: int = 0, clock_ms: int = 0, **changed: Any) -> bytes:
        """The next record.

        Args:
            ago_ms: How long before its sending it was measured.
            clock_ms: How far the clock of the source is ahead.
            changed: Fields that are not what they should be.
        """
        sent_ms = wall_ms() + clock_ms
        self._seq += 1
        envelope: Mapping[str, Any] = {"v": 1, "source": self.source, "boot": self._boot, "seq": self._seq}
        samples = [{"metric": f"load.metric_{index}", "value": self._seq % 100 + index} for index in range(3)]
        fields = {**envelope, "at_ms": sent_ms - ago_ms, "sent_ms": sent_ms, "samples": samples, **changed}
        return json.dumps(fields, separators=(",", ":")).encode()


def _half_bad(one: Producer) -> bytes:
    good, bad = {"metric": "load.metric_0", "value": 1.0}, {"metric": "load.metric_1", "value": "much"}
    return one.record(samples=[good, bad, {"metric": "", "value": 1.0}])


POISON: tuple[Callable[[Producer], bytes | None], ...] = (
    lambda one: b"\xff\x00 not json",
    lambda one: one.record()[:-20],
    lambda one: one.record(source=["a", "list"]),
    lambda one: one.record(samples=[]),
    lambda one: one.record().replace(b'"value":', b'"value":NaN,"was":'),
    lambda one: None,
    lambda one: b"[" * 50_000 + b"]" * 50_000,
    lambda one: one.record(ago_ms=-DAY_MS),
    lambda one: one.record(ago_ms=40 * DAY_MS),
    _half_bad,
)


def poison(one: Producer, numbers: random.Random) -> bytes | None:
    """A record that cannot be used, or not wholly; seldom one that is too large."""
    if numbers.random() < 0.02:
        return b'"' + b"x" * MAX_RECORD_BYTES + b'"'
    return numbers.choice(POISON)(one)
