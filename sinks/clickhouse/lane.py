"""One lane of the sink: some topics that are read, decoded and stored together, beside the other lanes."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connect.kafka import STAMPED_BY_BROKER, Consumer, TopicPartition
from connect.outbox import Message, Outbox
from connect.topic_ids import TopicReplaced
from schemas.deadletters import Fault, dead_letter
from schemas.errors import BadRecord, PermanentError, Reason
from schemas.topics import DEADLETTERS, INPUTS
from schemas.wire import TICK_PREFIX
from sinks.clickhouse.metrics import Metrics
from sinks.clickhouse.rows import Batch, Insertable, Record, Table, Target
from sinks.clickhouse.writer import Writer

_LOG = logging.getLogger(__name__)

MAX_RECORDS = 1_000
MAX_ROWS = 20_000
MAX_BYTES = 8 * 1024 * 1024
POLL_S = 0.5
IDLE_S = 0.1
_INPUTS = frozenset(topic.name for topic in INPUTS)


@dataclass(slots=True)
class Pending:
    """What one topic brought since its last insert, and the offsets that it stands for."""

    batch: Insertable = field(default_factory=Batch)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    size_bytes: int = 0
    since_s: float = 0.0

    def full(self) -> bool:
        """Whether it must not grow any more."""
        return len(self.batch) >= MAX_ROWS or self.size_bytes >= MAX_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all lanes share."""

    consumer: Consumer
    writer: Writer
    letters: Outbox
    metrics: Metrics
    epochs: Mapping[str, str]


Stored = Callable[[str, Insertable, dict[TopicPartition, int]], None]


class Lane:
    """Reads, decodes and stores some topics.

    Args:
        tables: The table of each topic.
        linger_s: How long a row waits for company, so that inserts are few.
        max_records: How many are taken at once.
        stored: Told the topic, the rows that ClickHouse has, and the offsets below which it has everything.
    """

    def __init__(
        self,
        shared: Shared,
        tables: Mapping[str, Table],
        *,
        linger_s: float,
        stored: Stored,
        max_records: int = MAX_RECORDS,
    ) -> None:
        self._shared = shared
        self._tables = tables
        self._linger_s = linger_s
        self._max_records = max_records
        self._stored = stored
        self._pending = {topic: Pending() for topic in tables}
        self.read: dict[TopicPartition, int] = {}
        """Offset behind the last record that was taken."""
        self.clock_ms: dict[TopicPartition, int] = {}
        """The log's time there, where it has told any."""
        self.letters_total = 0
        """Dead letters that it sent."""

    def assigned(self) -> list[TopicPartition]:
        """The partitions of its topics that this sink owns."""
        return [tp for tp in self._shared.consumer.assignment() if tp.topic in self._tables]

    async def step(self) -> None:
        """Takes what came, and stores what has waited long enough. While ClickHouse is away it does not return."""
        partitions = self.assigned()
        if not partitions:
            await asyncio.sleep(IDLE_S)
            return
        wait_ms = max(0, int(min(POLL_S, self._due_in_s()) * 1000))
        fetched = await self._shared.consumer.getmany(*partitions, timeout_ms=wait_ms, max_records=self._max_records)
        if fetched:
            await self._take(fetched)
        if self._due_in_s() <= 0:
            await self.flush()

    def _due_in_s(self) -> float:
        now_s = time.monotonic()
        waiting = [one.since_s + self._linger_s - now_s for one in self._pending.values() if one.offsets]
        return min(waiting, default=POLL_S)

    async def _take(self, fetched: dict[TopicPartition, list[Record]]) -> None:
        for tp, records in fetched.items():
            if tp not in self.read:
                await self._resume(tp, records[0].offset)
            if records[0].offset < self.read.setdefault(tp, records[0].offset):
                raise TopicReplaced(
                    f"Offsets of {tp.topic}/{tp.partition} begin anew: this process begins anew as well"
                )
        # In a thread, so that heartbeats go on beside a large batch.
        batches = await asyncio.to_thread(self._decoded, fetched)
        for tp, batch in batches.items():
            pending, records = self._pending[tp.topic], fetched[tp]
            if pending.offsets:
                pending.batch.extend(batch)
            else:
                pending.batch, pending.since_s = batch, time.monotonic()
            pending.offsets[tp] = self.read[tp] = records[-1].offset + 1
            self._note_clock(tp, records)
            pending.size_bytes += sum(len(record.value or b"") for record in records)
            if pending.full():
                await self._store(tp.topic)

    async def _resume(self, tp: TopicPartition, offset: int) -> None:
        resume = self._tables[tp.topic].resume
        if resume is not None:
            store, epoch = self._shared.writer.store, self._shared.epochs[tp.topic]
            await self._shared.writer.patiently(lambda: resume(store, epoch, tp.partition, offset))

    def _note_clock(self, tp: TopicPartition, records: Sequence[Record]) -> None:
        """Of input topics the producers' clocks tell nothing: their time is that of their ticks, or of the append."""
        ours = tp.topic not in _INPUTS or records[-1].timestamp_type == STAMPED_BY_BROKER
        told = (one for one in reversed(records) if ours or (one.value or b"").startswith(TICK_PREFIX))
        newest = next(told, None)
        if newest is not None:
            self.clock_ms[tp] = newest.timestamp

    def _decoded(self, fetched: dict[TopicPartition, list[Record]]) -> dict[TopicPartition, Insertable]:
        return {
            tp: self._tables[tp.topic].read(records, self._shared.epochs[tp.topic]) for tp, records in fetched.items()
        }

    async def flush(self) -> None:
        """Stores everything that was taken."""
        await self._store(*(topic for topic, pending in self._pending.items() if pending.offsets))

    async def _store(self, *topics: str) -> None:
        """Makes what some topics brought durable. The order is the guarantee.

        1. ClickHouse acknowledges every row that it can take, and after them what is stored beside them.
        2. Kafka acknowledges a dead letter for every record that nobody else answers for.
        3. The offsets are told to whoever commits them.

        A crash between any two steps reads the records again: equal identity, so rows and letters are replaced.
        """
        taken = {topic: self._pending[topic] for topic in topics}
        self._pending |= {topic: Pending() for topic in topics}
        # Step 1
        rejected = {
            topic: await self._shared.writer.insert(self._tables[topic], pending.batch)
            for topic, pending in taken.items()
        }
        for target, batch in self._beside(taken).items():
            await self._shared.writer.insert(target, batch)
        for topic, pending in taken.items():
            # Step 2
            bad = [
                (record, BadRecord(Reason.BAD_SHAPE, f"ClickHouse refuses it: {reason}"))
                for record, reason in rejected[topic]
            ]
            await self._refuse(topic, unread=pending.batch.refused, rejected=bad)
            # Step 3
            self._stored(topic, pending.batch, pending.offsets)

    def _beside(self, taken: Mapping[str, Pending]) -> dict[Target, Batch]:
        """By table: one insert into it for all topics, since each makes a part that must be merged."""
        together: dict[Target, Batch] = {}
        for topic, pending in taken.items():
            target, batch = self._tables[topic].beside, pending.batch.beside
            if target is not None and batch is not None:
                together.setdefault(target, Batch()).extend(batch)
        return together

    async def _refuse(
        self, topic: str, *, unread: list[tuple[Record, BadRecord]], rejected: list[tuple[Record, BadRecord]]
    ) -> None:
        """Dead letters. Of input topics only for what ClickHouse rejects: the rollup agent answers for the rest."""
        if unread or rejected:
            self._shared.metrics.refused.labels(topic).inc(len(unread) + len(rejected))
        if topic == DEADLETTERS.name:
            for record, bad in (*unread, *rejected):
                _LOG.error("A dead letter cannot be stored (%d/%d): %s", record.partition, record.offset, bad)
            return
        answered = rejected if topic in _INPUTS else [*unread, *rejected]
        try:
            await self._shared.letters.deliver(self._letters(answered))
            self.letters_total += len(answered)
        except PermanentError as error:
            _LOG.error("%d dead letters of %s cannot be sent: %s", len(answered), topic, error)

    def _letters(self, refused: list[tuple[Record, BadRecord]]) -> Iterable[Message]:
        by_record: dict[tuple[str, int, int], tuple[Record, list[Fault]]] = {}
        for record, bad in refused:
            place = (record.topic, record.partition, record.offset)
            by_record.setdefault(place, (record, []))[1].append(Fault(reason=bad.reason, detail=bad.detail))
        for (topic, partition, offset), (record, faults) in by_record.items():
            where = (topic, self._shared.epochs[topic], partition, offset)
            key, value = dead_letter(where, record.key, record.value, faults=faults, refused_by="sink")
            yield Message(DEADLETTERS.name, key, value)
