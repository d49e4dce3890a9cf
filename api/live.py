"""What happens now, straight from the topics: how far rollups are complete, alerts, samples that somebody watches."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

import msgspec
from pydantic import ValidationError

from api.broadcast import Broadcast, Client, Event
from connect.config import KafkaConfig
from connect.offsets import end_offsets
from connect.reader import TopicReader
from schemas.alerts import Transition
from schemas.errors import BadRecord
from schemas.matchers import Matcher, labels_of, matches
from schemas.rollup_wire import Mark, decode_message
from schemas.topics import ALERTS, ROLLUPS, SAMPLES

POLL_S = 0.2
KEEP_ALIVE_S = 15.0
AGAIN_S = 1.0
PAST_ALERTS = 100
"""Of each partition so many records are read again at the start, for clients that come back after it."""


_Take = Callable[[bytes | None], None]


class _Sample(msgspec.Struct):
    metric: str
    value: float | None = None
    dimensions: dict[str, str] = {}


class _Samples(msgspec.Struct):
    """As much of a record of samples as is shown."""

    source: str
    at_ms: int
    samples: list[_Sample]


_SAMPLES = msgspec.json.Decoder(_Samples)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client listens to.

    Attributes:
        alerts: Whether to alerts, those whose labels match.
        metrics: Of which metrics to samples as they come, of sources that match.
    """

    alerts: bool = True
    metrics: frozenset[str] = frozenset()
    where: Sequence[Matcher] = ()

    def wants(self, event: Event) -> bool:
        """Whether an event is for this client."""
        if isinstance(event.about, Transition):
            return self.alerts and matches(self.where, labels_of(event.about))
        if isinstance(event.about, tuple):
            metric, source = event.about
            return metric in self.metrics and matches(self.where, {"source": source})
        return True


@dataclass(slots=True)
class Live:
    """Follows the topics, and tells clients.

    Attributes:
        boot: Names this process: numbers of events of another one mean nothing here.
    """

    kafka: KafkaConfig
    boot: str = field(default_factory=lambda: secrets.token_hex(4))
    broadcast: Broadcast = field(default_factory=Broadcast)
    _marks: dict[tuple[str, int], int] = field(default_factory=dict)
    _epoch: str = ""
    _complete_to_ms: int | None = None
    _listening: dict[Client, Wanted] = field(default_factory=dict)
    _closed: bool = False
    _watched: asyncio.Event = field(default_factory=asyncio.Event)

    def complete_to_ms(self) -> int | None:
        """Windows of metrics that end by then are complete; None: not known yet."""
        return self._complete_to_ms

    @property
    def clients(self) -> int:
        """How many listen."""
        return len(self._listening)

    def close(self) -> None:
        """Has all streams end."""
        self._closed = True
        for client in self._listening:
            client.wake()

    async def run(self) -> None:
        """Follows until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(ROLLUPS.name, self._rollup, past=0))
            group.create_task(self._follow(ALERTS.name, self._alert, past=PAST_ALERTS))
            group.create_task(self._samples())

    async def _follow(self, topic: str, take: _Take, *, past: int) -> None:
        async with await self._reader(topic, past=past) as reader:
            while True:
                for chunk in await reader.read(timeout_s=POLL_S):
                    for record in chunk.records:
                        take(record.value)

    async def _reader(self, topic: str, *, past: int) -> TopicReader:
        ends = await end_offsets(self.kafka, [topic])
        return TopicReader(
            self.kafka, topic, offsets={partition: max(0, end - past) for (_, partition), end in ends.items()}
        )

    def _rollup(self, value: bytes | None) -> None:
        if value is None or b'"watermark"' not in value[:64]:
            return
        try:
            mark = decode_message(value)
        except BadRecord:
            return
        if not isinstance(mark, Mark) or mark.topic != SAMPLES.name:
            return
        if mark.epoch != self._epoch:
            self._epoch, self._marks = mark.epoch, {}
        self._marks[mark.topic, mark.partition] = mark.watermark_ms
        complete_ms = min(self._marks.values())
        if complete_ms // 1000 != (self._complete_to_ms or 0) // 1000:
            self.broadcast.tell("progress", json.dumps({"complete_to_ms": complete_ms}), keep=False)
        self._complete_to_ms = complete_ms

    def _alert(self, value: bytes | None) -> None:
        with suppress(ValidationError):
            transition = Transition.model_validate_json(value or b"")
            self.broadcast.tell("alert", transition.model_dump_json(), transition)

    async def _samples(self) -> None:
        """Reads samples while somebody watches any: there are many of them."""
        while True:
            await self._watched.wait()
            async with await self._reader(SAMPLES.name, past=0) as reader:
                while watched := self._metrics():
                    for chunk in await reader.read(timeout_s=POLL_S):
                        for record in chunk.records:
                            self._sampled(record.value or b"", watched)
            self._watched.clear()

    def _metrics(self) -> frozenset[str]:
        """Metrics that somebody watches."""
        return frozenset(chain.from_iterable(wanted.metrics for wanted in self._listening.values()))

    def _sampled(self, value: bytes, watched: frozenset[str]) -> None:
        if not any(metric.encode() in value for metric in watched):
            return
        try:
            record = _SAMPLES.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # A tick, or what the processor will refuse.
            return
        by_metric: dict[str, list[object]] = {}
        for sample in record.samples:
            if sample.metric in watched and sample.value is not None:
                about = {"value": sample.value, "dimensions": sample.dimensions}
                by_metric.setdefault(sample.metric, []).append(about)
        for metric, samples in by_metric.items():
            told = {"metric": metric, "source": record.source, "at_ms": record.at_ms, "samples": samples}
            self.broadcast.tell("samples", json.dumps(told), (metric, record.source), keep=False)

    async def listen(self, wanted: Wanted, last_id: str) -> AsyncIterator[str]:
        """Server-sent events for one client, until it is closed.

        Args:
            last_id: Of the last event that it has; empty: none.
        """
        wake = asyncio.Event()
        client = Client(wanted.wants, wake.set)
        self._listening[client] = wanted
        self.broadcast.join(client, self._after(last_id))
        if wanted.metrics:
            self._watched.set()
        try:
            yield f"retry: {int(AGAIN_S * 1000)}\n\n"
            while not self._closed:
                for event in client.take():
                    yield f"id: {self.boot}-{event.number}\nevent: {event.kind}\ndata: {event.data}\n\n"
                wake.clear()
                if client.waiting:
                    continue
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        await wake.wait()
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            self.broadcast.leave(client)
            del self._listening[client]

    def _after(self, last_id: str) -> int | None:
        if not last_id:
            return None
        boot, _, number = last_id.rpartition("-")
        # Of another process: it is told to ask for what it missed.
        return int(number) if boot == self.boot and number.isdigit() else self.broadcast.number + 1
