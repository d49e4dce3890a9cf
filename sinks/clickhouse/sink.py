"""The `sink` role: every topic to its table."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from connect.kafka import (
    COMMIT_REFUSED,
    Consumer,
    KafkaError,
    Producer,
    RebalanceListener,
    TopicPartition,
    consumer,
    producer,
)
from connect.offsets import end_offsets
from connect.telemetry import Figures, Telemetry
from schemas.deadletters import Fault, dead_letter
from schemas.errors import BadRecord, Reason, StoreRefused, StoreUnavailable
from schemas.topics import DEADLETTERS, INPUTS, ROLLUPS
from sinks.clickhouse.metrics import Metrics
from sinks.clickhouse.pending import Pending
from sinks.clickhouse.rows import TABLES, Place, columns
from sinks.clickhouse.tiers import DAYS, HOURS, MINUTES, Tier, recompute

_LOG = logging.getLogger(__name__)

POLL_MS = 250
MAX_POLL = 5_000
MAX_ROWS = 20_000
PROMPT_S = 0.2
PATIENT_S = 1.0
"""How long rows wait for company: those that people and alerts wait for, and raw ones."""

COMMIT_S = 1.0
MINUTES_S, HOURS_S = 10.0, 60.0
BACKOFF_S, BACKOFF_CAP_S = 0.25, 10.0
# Not polling is our backpressure, so it must never count as having died.
MAX_POLL_INTERVAL_MS = 7 * 86_400_000
_RAW = frozenset(topic.name for topic in INPUTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig:
    """What the sink needs to know.

    Attributes:
        epoch: Incarnation of the topics; part of the identity of raw rows.
        drain: On stop, first read every topic to its end.
        deadline_s: How long stopping may take.
    """

    kafka: KafkaConfig
    clickhouse: ClickHouseConfig
    epoch: str = ""
    group: str = "watchkeeper-sink"
    session_timeout_s: float = 6.0
    drain: bool = False
    deadline_s: float = 6.0


async def sink(config: SinkConfig, telemetry: Telemetry, stop: asyncio.Event) -> None:
    """Stores until `stop`; then what was read, with `drain` all that was published."""
    metrics = Metrics(telemetry.registry)
    store = Store(config.clickhouse)
    kafka = consumer(
        config.kafka,
        group_id=config.group,
        session_timeout_ms=int(config.session_timeout_s * 1000),
        heartbeat_interval_ms=1_000,
        max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
        fetch_max_wait_ms=POLL_MS,
    )
    letters = producer(config.kafka)
    await letters.start()
    try:
        running = Sink(config, store=store, kafka=kafka, letters=letters, metrics=metrics)
        telemetry.show(running.figures)
        kafka.subscribe(list(TABLES), listener=running)
        await kafka.start()
        try:
            await running.run(stop)
            await running.finish()
        finally:
            await kafka.stop()
    finally:
        await letters.stop()
        store.close()


class Sink(RebalanceListener):  # type: ignore[misc]  # the client ships no types for it
    """Stores what it reads, each identity once.

    1. Rows of a topic are inserted in one statement; ClickHouse acknowledges it.
    2. For rollups, every bucket of the coarser tiers that they touched is recomputed.
    3. Only then the offsets behind them are committed.

    A crash between any two steps reads the rows again; they replace themselves, and recomputing gives the same.
    While ClickHouse is away nothing is fetched: the client's buffers are all that memory holds.
    """

    def __init__(
        self, config: SinkConfig, *, store: Store, kafka: Consumer, letters: Producer, metrics: Metrics
    ) -> None:
        self._config = config
        self._store = store
        self._kafka = kafka
        self._letters = letters
        self._metrics = metrics
        self._generation = 0
        self._pending = {topic: Pending() for topic in TABLES}
        self._durable: dict[TopicPartition, int] = {}
        self._stored: dict[TopicPartition, int] = {}
        self._read: dict[TopicPartition, int] = {}
        self._dirty: dict[Tier, set[int]] = {MINUTES: set(), HOURS: set(), DAYS: set()}
        self._committed_s = self._minutes_s = self._hours_s = 0.0
        self._paused_since_s: float | None = None
        self._rows = 0
        self._newest_ms = 0

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002  (all are, always)
        """Commits what is durable, forgets the rest: its next owner reads it again."""
        await self._commit()
        self._generation += 1
        self._pending = {topic: Pending() for topic in TABLES}
        self._durable, self._stored, self._read = {}, {}, {}

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Nothing: reading begins at the commits."""

    async def run(self, stop: asyncio.Event) -> None:
        """Reads and stores until told to stop."""
        while not stop.is_set():
            await self._step()

    async def finish(self) -> None:
        """Stores what was read; with `drain`, first reads what there is. Gives up after `deadline_s`."""
        try:
            async with asyncio.timeout(self._config.deadline_s):
                if self._config.drain:
                    await self._drain()
                await self._flush_all(now=True)
                await self._recompute(now=True)
                await self._commit()
        except TimeoutError:
            _LOG.warning("Not everything was stored within %g s; it will be read again", self._config.deadline_s)

    async def _drain(self) -> None:
        ends = await end_offsets(self._config.kafka, TABLES)
        wanted = {TopicPartition(*name): end for name, end in ends.items() if end}
        while await self._behind(wanted):
            await self._step()

    async def _behind(self, ends: dict[TopicPartition, int]) -> bool:
        mine = [tp for tp in self._kafka.assignment() if tp in ends]
        return any([await self._kafka.position(tp) < ends[tp] for tp in mine])

    async def _step(self) -> None:
        records = await self._kafka.getmany(timeout_ms=POLL_MS, max_records=MAX_POLL)
        generation = self._generation
        for tp, some in records.items():
            await self._take(tp, some)
        if generation == self._generation:
            await self._flush_all(now=False)
            await self._recompute(now=False)
            if time.monotonic() - self._committed_s > COMMIT_S:
                await self._commit()

    async def _take(self, tp: TopicPartition, records: list[Any]) -> None:
        """Turns records into rows."""
        pending, (_, read) = self._pending[tp.topic], TABLES[tp.topic]
        now_s = time.monotonic()
        for record in records:
            place = Place(self._config.epoch, tp.partition, record.offset, record.key, record.timestamp)
            try:
                pending.add(record, read(place, record.value), now_s)
            except BadRecord as bad:
                await self._refuse(record, bad)
        pending.offsets[tp] = self._read[tp] = records[-1].offset + 1

    async def _refuse(self, record: Any, bad: BadRecord) -> None:
        """Dead letters for what only the sink reads; those of input topics are written by the rollup agent."""
        self._metrics.refused.labels(record.topic).inc()
        if record.topic in _RAW:
            return
        if record.topic == DEADLETTERS.name:
            _LOG.error("A dead letter cannot be read, at offset %d of partition %d", record.offset, record.partition)
            return
        place = (record.topic, self._config.epoch or "unknown", record.partition, record.offset)
        fault = Fault(reason=bad.reason, detail=bad.detail)
        key, value = dead_letter(place, record.key, record.value, faults=[fault], refused_by="sink")
        await self._letters.send_and_wait(DEADLETTERS.name, value, key)

    async def _flush_all(self, *, now: bool) -> None:
        for topic, pending in self._pending.items():
            patience_s = PATIENT_S if topic in _RAW else PROMPT_S
            due = now or len(pending.rows) >= MAX_ROWS or time.monotonic() - pending.since_s >= patience_s
            if pending.offsets and (due or not pending.rows):
                await self._flush(topic)

    async def _flush(self, topic: str) -> None:
        """Step 1 of one topic; tells what must be recomputed before its offsets count."""
        pending, self._pending[topic] = self._pending[topic], Pending()
        generation = self._generation
        await self._insert(topic, pending.rows, pending.origins)
        if generation != self._generation:
            return
        if topic == ROLLUPS.name:
            self._stored.update(pending.offsets)
            self._dirty[MINUTES].update(_bucket(row["window_start"], MINUTES) for row in pending.rows)
            self._newest_ms = max([self._newest_ms, *(row["window_start"] for row in pending.rows)])
        else:
            self._durable.update(pending.offsets)

    async def _insert(self, topic: str, rows: list[dict[str, Any]], origins: list[Any]) -> None:
        if not rows:
            return
        table, _ = TABLES[topic]
        started_s = time.monotonic()
        try:
            await self._patiently(lambda: self._store.insert(table, columns(rows)))
        except StoreRefused as refused:
            await self._halve(topic, rows, origins, refused)
            return
        self._metrics.inserted(table, len(rows), time.monotonic() - started_s)
        self._rows += len(rows)

    async def _halve(self, topic: str, rows: list[dict[str, Any]], origins: list[Any], refused: StoreRefused) -> None:
        """Finds the rows that ClickHouse refuses: their records become dead letters, the others are stored."""
        if len(rows) == 1:
            await self._refuse(origins[0], BadRecord(Reason.BAD_SHAPE, f"ClickHouse refuses it: {refused}"))
            return
        middle = len(rows) // 2
        await self._insert(topic, rows[:middle], origins[:middle])
        await self._insert(topic, rows[middle:], origins[middle:])

    async def _patiently(self, call: Callable[[], None]) -> None:
        """Calls until ClickHouse takes it, with growing pauses. Nothing is fetched meanwhile."""
        pause_s = BACKOFF_S
        while True:
            try:
                await asyncio.to_thread(call)
            except StoreUnavailable as error:
                if self._paused_since_s is None:
                    self._paused_since_s = time.monotonic()
                    _LOG.warning("ClickHouse is away, reading is paused: %s", error)
                self._metrics.failures.inc()
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  (jitter)
                pause_s = min(BACKOFF_CAP_S, pause_s * 2)
            else:
                if self._paused_since_s is not None:
                    _LOG.warning("ClickHouse is back after %.1f s", time.monotonic() - self._paused_since_s)
                    self._metrics.paused_s.inc(time.monotonic() - self._paused_since_s)
                    self._paused_since_s = None
                return

    async def _recompute(self, *, now: bool) -> None:
        """Step 2: minutes often, hours and days less so; offsets of rollups count when all three are done."""
        if self._stored and (now or time.monotonic() - self._minutes_s > MINUTES_S):
            await self._recompute_tier(MINUTES, HOURS)
            self._minutes_s = time.monotonic()
            if now or time.monotonic() - self._hours_s > HOURS_S:
                generation, stored = self._generation, dict(self._stored)
                await self._recompute_tier(HOURS, DAYS)
                await self._recompute_tier(DAYS, None)
                self._hours_s = time.monotonic()
                if generation == self._generation:
                    self._durable.update(stored)

    async def _recompute_tier(self, tier: Tier, coarser: Tier | None) -> None:
        starts, self._dirty[tier] = self._dirty[tier], set()
        await self._patiently(lambda: recompute(self._store, tier, starts))
        if coarser is not None:
            self._dirty[coarser].update(_bucket(start, coarser) for start in starts)

    async def _commit(self) -> None:
        """Step 3."""
        self._committed_s = time.monotonic()
        assigned = self._kafka.assignment()
        offsets = {tp: offset for tp, offset in self._durable.items() if tp in assigned}
        if not offsets:
            return
        try:
            await self._kafka.commit(offsets)
        except COMMIT_REFUSED:
            return
        except KafkaError as error:
            _LOG.warning("Kafka did not take a commit: %s", error)
            return
        self._durable = {tp: offset for tp, offset in self._durable.items() if offsets.get(tp) != offset}

    def figures(self) -> Figures:
        """For `/status`."""
        return {
            "rows_total": self._rows,
            "lag_records": self._lag(),
            "newest_rollup_ms": self._newest_ms or None,
            "paused": self._paused_since_s is not None,
            "assigned": len(self._kafka.assignment()),
        }

    def _lag(self) -> int:
        ends = {tp: self._kafka.highwater(tp) for tp in self._kafka.assignment()}
        return sum(max(0, (end or 0) - self._read.get(tp, end or 0)) for tp, end in ends.items())


def _bucket(at_ms: int, tier: Tier) -> int:
    return at_ms - at_ms % tier.size_ms
