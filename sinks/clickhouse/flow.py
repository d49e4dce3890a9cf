"""The flow through the sink: lanes, tiers and commits, and the order in which they end."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from connect.groups import first_of
from connect.kafka import COMMIT_REFUSED, Consumer, KafkaError, RebalanceListener, TopicPartition
from connect.lag import LagWatch
from connect.offsets import end_offsets
from connect.telemetry import Figures
from connect.topic_ids import watch_epochs
from engine.lag import Place, figures
from schemas.errors import BrokerUnavailable
from schemas.rule_base import WINDOW_MS
from schemas.topics import INPUTS, ROLLUPS
from sinks.clickhouse.audits import Audits
from sinks.clickhouse.config import SinkConfig
from sinks.clickhouse.lane import MAX_RECORDS, Lane, Shared
from sinks.clickhouse.rows import Insertable, Table
from sinks.clickhouse.tables import tables
from sinks.clickhouse.tiers import Tiers

_LOG = logging.getLogger(__name__)

COMMIT_S = 1.0
REVOKE_S = 2.0
"""How long a rebalance waits for the tiers. What does not get ready is only read again."""

LOOK_S = 0.05
ENDS_S = 5.0
"""How often the ends of the partitions are asked for while nothing is fetched, which would tell them."""

EPOCHS_S = 5.0
"""How soon a topic that was deleted and created again is noticed."""

ROLLUP_RECORDS = 200
"""Taken at once. Each holds up to some hundred rows: few enough that memory is used again, not asked for anew."""

AUDITOR = TopicPartition(ROLLUPS.name, 0)
"""Who owns this partition audits."""

_RAW = frozenset(topic.name for topic in INPUTS)


class Flow(RebalanceListener):  # type: ignore[misc]  # the client ships no types for it
    """Lanes, tiers and commits, from the first record to the last.

    1. A lane inserts the rows of a topic; ClickHouse acknowledges them (`Lane._store`).
    2. Of rollups, every bucket of the coarser tiers that they touched is computed anew.
    3. Only then the offsets behind them are committed.

    A crash between any two steps reads the records again: rows replace themselves, and buckets come out the same.
    While ClickHouse is away nobody reads on: what was fetched ahead is all that memory holds.
    """

    def __init__(self, config: SinkConfig, shared: Shared) -> None:
        self.tables = tables(config.log)
        self._config = config
        self._shared = shared
        self._consumer: Consumer = shared.consumer
        self._tiers = Tiers(shared.writer, shared.metrics)
        self._audits = Audits(config, shared.epochs, shared.metrics)
        self._durable: dict[TopicPartition, int] = {}
        self._newest_ms = 0
        self._ends: Mapping[tuple[str, int], int] = {}
        self._starts: Mapping[TopicPartition, int] = {}
        self._behind = LagWatch(places=self._places, ends=self._end_offsets)
        self._stopping = asyncio.Event()
        self.drained = False
        """Whether everything was stored that was to be before the end."""
        prompt = {name: table for name, table in self.tables.items() if name not in _RAW and name != ROLLUPS.name}
        self._lanes = (
            self._lane({ROLLUPS.name: self.tables[ROLLUPS.name]}, config.prompt_s, max_records=ROLLUP_RECORDS),
            self._lane(prompt, config.prompt_s),
            self._lane({name: self.tables[name] for name in self.tables if name in _RAW}, config.patient_s),
        )
        self._show()

    def _lane(self, its: Mapping[str, Table], linger_s: float, max_records: int = MAX_RECORDS) -> Lane:
        return Lane(self._shared, its, linger_s=linger_s, stored=self._stored, max_records=max_records)

    def _show(self) -> None:
        metrics, writer = self._shared.metrics, self._shared.writer
        metrics.gauge("paused", "1 while ClickHouse is away and nothing is read.", lambda: float(writer.paused))
        metrics.gauge("newest_rollup_ms", "End of the newest window stored.", lambda: float(self._newest_ms))
        metrics.lag(tuple(self.tables), lambda topic: float(self._lag(topic)))
        metrics.behind(lambda: self._behind.lag)

    def _stored(self, topic: str, batch: Insertable, offsets: dict[TopicPartition, int]) -> None:
        """Step 1 is done for these offsets."""
        if topic != ROLLUPS.name:
            self._durable.update(offsets)
            return
        windows_ms = np.unique(batch.times_ms(self.tables[topic])).tolist()
        self._tiers.stored(windows_ms, offsets)
        if windows_ms:
            self._newest_ms = max(self._newest_ms, max(windows_ms) + WINDOW_MS)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until told to stop, then ends within `deadline_s`.

        Raises:
            WatchkeeperError: What ended a lane.
        """
        work = asyncio.create_task(self._work())
        asked = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await self._finish(work)
            if work.done() and not work.cancelled() and (error := work.exception()) is not None:
                raise first_of(error)
        finally:
            for task in (work, asked):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._follow(lane))
            group.create_task(self._refresh())
            group.create_task(self._commits())
            group.create_task(self._watch_ends())
            group.create_task(self._until_stopping(self._behind.run()))
            group.create_task(self._until_stopping(self._audits.run(self.owns_audits)))
            if not self._config.epoch:
                watching = watch_epochs(self._config.kafka, self._shared.epochs, every_s=EPOCHS_S)
                group.create_task(self._until_stopping(watching))

    async def _follow(self, lane: Lane) -> None:
        while not self._stopping.is_set():
            await lane.step()
        await lane.flush()

    async def _refresh(self) -> None:
        """Step 2, again and again."""
        clock = asyncio.get_running_loop().time
        full_s = clock() + self._config.tiers_s
        while not await self._pause(self._config.minutes_s):
            due = clock() >= full_s
            self._durable.update(await self._tiers.refresh(all_tiers=due))
            if due:
                full_s = clock() + self._config.tiers_s

    async def _commits(self) -> None:
        """Step 3, again and again."""
        while not await self._pause(COMMIT_S):
            await self._commit()

    async def _watch_ends(self) -> None:
        """The lag grows while ClickHouse is away, and is seen to."""
        while not await self._pause(ENDS_S):
            if self._shared.writer.paused:
                with suppress(KafkaError, BrokerUnavailable, TimeoutError):
                    self._ends = await end_offsets(self._config.kafka, self.tables)
                    self._starts = {tp: await self._position(tp) for tp in self._consumer.assignment()}

    async def _end_offsets(self) -> dict[TopicPartition, int]:
        return dict(await self._consumer.end_offsets(self._consumer.assignment()))

    async def _until_stopping(self, work: Coroutine[Any, Any, None]) -> None:
        working = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, stopping):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await working

    def owns_audits(self) -> bool:
        """Whether this sink of several does what one of them does for all."""
        return AUDITOR in self._consumer.assignment()

    async def _pause(self, seconds: float) -> bool:
        """Waits; whether the work is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _commit(self) -> None:
        mine = self._consumer.assignment()
        offsets = {tp: offset for tp, offset in self._durable.items() if tp in mine}
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except COMMIT_REFUSED as error:
            _LOG.info("A commit came too late, the partitions have another owner: %s", error)
        except KafkaError as error:
            _LOG.warning("Kafka did not take a commit; the next one says the same and more: %s", error)
            return
        else:
            self._shared.metrics.commits.inc()
        self._durable = {tp: offset for tp, offset in self._durable.items() if offsets.get(tp) != offset}

    async def _finish(self, work: "asyncio.Task[None]") -> None:
        """Ends the work in order: all that was read, or published, is stored, counted into the tiers and committed."""
        try:
            async with asyncio.timeout(self._config.deadline_s):
                letters = self._letters_total()
                if self._config.drain:
                    await self._reach(work, await end_offsets(self._config.kafka, self.tables))
                self._stopping.set()
                await asyncio.wait({work})
                self._durable.update(await self._tiers.refresh(all_tiers=True))
                await self._commit()
                # What ClickHouse refused just now stands behind the end that was read to.
                self.drained = letters == self._letters_total()
        except TimeoutError:
            _LOG.warning("Not everything was stored within %g s; it will be read again", self._config.deadline_s)

    def _letters_total(self) -> int:
        return sum(lane.letters_total for lane in self._lanes)

    async def _reach(self, work: "asyncio.Task[None]", ends: Mapping[tuple[str, int], int]) -> None:
        """Returns when every partition of ours was read to its end; first it waits until there are any."""
        while not work.done():
            mine = self._consumer.assignment()
            behind = [tp for tp in mine if await self._position(tp) < ends.get((tp.topic, tp.partition), 0)]
            if mine and not behind:
                return
            await asyncio.sleep(LOOK_S)

    async def _position(self, tp: TopicPartition) -> int:
        """Offset behind the last record that was taken; -1 while it is not known."""
        read = self._read().get(tp)
        if read is not None:
            return read
        try:
            return int(await self._consumer.position(tp))
        except COMMIT_REFUSED:  # no longer ours
            return -1

    def _read(self) -> dict[TopicPartition, int]:
        """Offset behind the last record that was taken, of every partition of ours where it is known."""
        return {tp: lane.read[tp] for lane in self._lanes for tp in lane.assigned() if tp in lane.read}

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Commits what can be in a short time, and forgets the rest: its next owner reads it again."""
        if revoked:
            with suppress(TimeoutError):
                async with asyncio.timeout(REVOKE_S):
                    self._durable.update(await self._tiers.refresh(all_tiers=True))
            await self._commit()
        self._durable.clear()
        self._tiers.forget()
        for lane in self._lanes:
            lane.read.clear()
            lane.clock_ms.clear()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Reading begins at the commits."""
        _LOG.info("Assigned: %s", ", ".join(sorted(f"{tp.topic}/{tp.partition}" for tp in assigned)) or "nothing")

    def close(self) -> None:
        """Closes what it opened. Safe twice."""
        self._audits.close()

    def figures(self) -> Figures:
        """For `/status`."""
        paused = self._shared.writer.paused
        return {
            "rows_total": self._shared.writer.rows_total,
            **figures(self._behind.lag),
            "lag_records": sum(self._lag(topic) for topic in self.tables),
            "newest_rollup_ms": self._newest_ms or None,
            "paused": paused,
            "assigned": len(self._consumer.assignment()),
            **self._audits.figures(),
            "note": "waits for ClickHouse" if paused else "",
        }

    def _lag(self, topic: str) -> int:
        """Records of our partitions that were not taken yet, as far as is known."""
        places = self._places()
        return sum(max(0, place.end - place.position) for tp, place in places.items() if tp.topic == topic)

    def _places(self) -> dict[TopicPartition, Place]:
        """Where each partition of ours is read, as far as is known."""
        read, clock_ms, places = {**self._starts, **self._read()}, self._clocks_ms(), {}
        for tp in self._consumer.assignment():
            end = max(self._consumer.highwater(tp) or 0, self._ends.get((tp.topic, tp.partition), 0))
            places[tp] = Place(read.get(tp, end), end, clock_ms.get(tp))
        return places

    def _clocks_ms(self) -> dict[TopicPartition, int]:
        return {tp: at_ms for lane in self._lanes for tp, at_ms in lane.clock_ms.items()}
