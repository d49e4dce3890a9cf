"""The rollup agent: input batches to rollup rows, watermarks and commits."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from agents.batches import Batch, Partition
from agents.config import ProcessConfig
from agents.decode import decoder_of
from agents.host import FoldHost
from agents.metrics import Metrics
from agents.runtime import Runtime
from agents.watchdog import Standing
from connect.outbox import Message, Outbox
from engine.checkpoints import Checkpoint
from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from engine.lag import Place
from schemas.rollup_wire import Mark
from schemas.rule_base import WINDOW_MS
from schemas.topics import ROLLUPS
from schemas.wire import encode

_LOG = logging.getLogger(__name__)

MARK_MS = WINDOW_MS // 2
"""A watermark is sent when it passes a multiple of this: each end of a window, and once in between."""

MAX_WAITING = 4
"""Batches that may be folded while a checkpoint is on its way: beyond them the output slows the input down."""

EARLY_LAG = 10_000
"""A partition that is so many records behind is caught up with first: its open windows are not of the present."""

REVOKE_S = 1.0
"""How long a rebalance waits for checkpoints on their way. What does not get ready is only read again."""


class RollupAgent:
    """Folds the input partitions that this worker owns.

    Each partition's rows are exact, whatever dies: a fold restarts at a commit, and a commit is made only behind what
    Kafka has acknowledged (see `_publish`).

    Args:
        epochs: Incarnation of each input topic.
        marks_to: Partitions of `metrics.rollups`.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        config: ProcessConfig,
        *,
        group: Runtime,
        outbox: Outbox,
        epochs: Mapping[str, str],
        marks_to: Collection[int],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._group = group
        self._outbox = outbox
        self._epochs = epochs
        self._marks_to = marks_to
        self._metrics = metrics
        self._clock = clock
        self._decoders = {topic: decoder_of(topic) for topic in epochs}
        self._hosts: dict[Partition, FoldHost] = {}
        self._moved = asyncio.Event()
        self._closed = False
        self.samples_total = 0
        self.deadletters_total: Counter[str] = Counter()
        """By topic."""

    async def take(self, batch: Batch) -> None:
        """Folds a batch; publishes in the background, and waits for that only when it falls behind.

        Raises:
            Exception: Whatever the fold raises. The process must end: nothing of the batch has been committed.
        """
        host = await self._host(batch)
        if host is None or not host.take(batch):
            return
        self._moved.set()
        self._count(host)
        self._publish_soon(host)
        if host.waiting > MAX_WAITING and host.publishing is not None:
            await asyncio.wait([host.publishing])

    def _count(self, host: FoldHost) -> None:
        before, now = host.counted, replace(host.fold.counts)
        host.counted = now
        self.samples_total += now.points - before.points
        self._metrics.count(host.partition.topic, before, now)

    async def _host(self, batch: Batch) -> FoldHost | None:
        """The host of the batch's partition; None when the batch is of another assignment than the present one."""
        hosts = self._hosts
        if self._closed or batch.generation != self._group.generation or not self._group.flowing:
            return None
        host = hosts.get(batch.partition)
        if host is None:
            start, offset = await self._start(batch)
            if hosts is not self._hosts or batch.generation != self._group.generation:
                return None
            host = hosts[batch.partition] = self._new_host(batch.partition, start, offset)
        return host

    async def _start(self, batch: Batch) -> tuple[Start, int]:
        """Where to begin, asked from the broker: Faust's own idea of the commit may be missing."""
        committed = await self._group.committed(batch.partition)
        end = self._group.highwater(batch.partition)
        if committed is not None and end is not None and committed > end:
            _LOG.error(
                "%s/%d: offset %d was committed in another log: this one ends before it", *batch.partition, committed
            )
            committed = None
        if committed == batch.first:
            return Start.WARM, committed
        if committed is None and batch.first == 0:
            return Start.FRESH, 0
        beginning = await self._group.beginning(batch.partition)
        if committed is not None and committed >= beginning:
            return Start.WARM, committed
        return (Start.FRESH if beginning == 0 else Start.CUT), beginning

    def _new_host(self, partition: Partition, start: Start, offset: int) -> FoldHost:
        config, epoch = self._config, self._epochs[partition.topic]
        _LOG.info("%s/%d: folding from offset %d (%s)", *partition, offset, start.name.lower())
        if start is Start.CUT:
            _LOG.error(
                "%s/%d: records before offset %d are gone unread; folding from the next segment", *partition, offset
            )
        fold = PartitionFold(
            FoldConfig(
                topic=partition.topic,
                partition=partition.number,
                epoch=epoch,
                window_ms=WINDOW_MS,
                lateness_ms=config.lateness_ms,
                segment_ms=config.segment_ms,
                horizon_segments=config.horizon_segments,
                skew_bound_ms=config.skew_bound_ms,
                max_rows=config.max_rows,
            ),
            start=start,
            offset=offset,
        )
        return FoldHost(partition, fold, decode=self._decoders[partition.topic], epoch=epoch, seek=self._group.seek)

    def _publish_soon(self, host: FoldHost, *, final: bool = False) -> None:
        """Starts the next checkpoint of a partition, unless one is on its way: that one will start the next."""
        if host.publishing is not None:
            return
        checkpoint = host.fold.checkpoint(early=host.early)
        host.early, host.waiting = False, 0
        marks = self._marks(host, checkpoint, final=final)
        host.publishing = self._group.spawn(self._publish(host, checkpoint, host.take_letters(), marks))

    async def _publish(
        self, host: FoldHost, checkpoint: Checkpoint, letters: Sequence[Message], marks: Sequence[Message]
    ) -> None:
        """Makes one checkpoint of one partition durable. The order is the guarantee.

        1. Every dead letter and every row of the checkpoint is sent, and its acknowledgement awaited.
        2. The watermark follows to every partition of `metrics.rollups`: what it calls complete stands before it.
        3. The fold is told, and answers which offset everything below is durable for.
        4. That offset is committed, if the partition is still ours.

        A crash between any two steps sends rows again: equal identity, equal content, so they are replaced.
        """
        # Step 1
        await self._outbox.deliver([*letters, *_rows(checkpoint)])
        self.deadletters_total[host.partition.topic] += len(letters)
        self._metrics.letters.inc(len(letters))
        self._metrics.rows.inc(checkpoint.rows)
        # Step 2
        await self._outbox.deliver(marks)
        # Step 3
        offset = host.fold.acknowledge(checkpoint)
        # Step 4
        if offset is not None and self._owns(host):
            await self._commit(host.partition, offset)
        host.publishing = None
        if self._owns(host) and (host.waiting or host.early):
            self._publish_soon(host)

    def _owns(self, host: FoldHost) -> bool:
        return self._hosts.get(host.partition) is host

    async def _commit(self, partition: Partition, offset: int) -> None:
        started = self._clock()
        if await self._group.commit({partition: offset}):
            self._metrics.commit_seconds.observe(self._clock() - started)

    def _marks(self, host: FoldHost, checkpoint: Checkpoint, *, final: bool) -> list[Message]:
        now_ms = checkpoint.watermark_ms
        if now_ms is None or now_ms <= host.marked_ms or not (final or now_ms // MARK_MS > host.marked_ms // MARK_MS):
            return []
        host.marked_ms = now_ms
        topic, number = host.partition
        mark = Mark(topic, self._epochs[topic], number, now_ms, checkpoint.next_offset)
        value = encode(mark)
        return [Message(ROLLUPS.name, None, value, to) for to in self._marks_to]

    async def publish_early(self) -> None:
        """Publishes the rows of open windows, again and again. Correctness never depends on when, or whether."""
        while self._config.early_ms:
            await asyncio.sleep(self._config.early_ms / 1000)
            for host in self._hosts.values():
                if self._lag(host) < EARLY_LAG:
                    host.early = True
                    self._publish_soon(host)

    async def revoked(self) -> None:
        """Commits what gets ready in time, and forgets everything."""
        hosts = self._hosts
        with suppress(TimeoutError):
            async with asyncio.timeout(REVOKE_S):
                await _settle(hosts.values())
        self._hosts = {}
        for host in hosts.values():
            if host.publishing is not None:
                host.publishing.cancel()

    async def flush(self) -> None:
        """Publishes all that was folded, open windows too, and returns when it is durable."""
        await _settle(self._hosts.values())
        for host in self._hosts.values():
            host.early = True
            self._publish_soon(host, final=True)
        await _settle(self._hosts.values())

    async def close(self) -> None:
        """Folds no more, and returns when what is on its way is durable."""
        self._closed = True
        await _settle(self._hosts.values())

    async def reach(self, ends: Mapping[Partition, int]) -> None:
        """Returns when these partitions are folded up to these offsets."""
        while any(end > self._next(partition) for partition, end in ends.items()):
            self._moved.clear()
            await self._moved.wait()

    def _next(self, partition: Partition) -> int:
        host = self._hosts.get(partition)
        return 0 if host is None else host.fold.next_offset

    def standings(self) -> dict[Partition, Standing]:
        """How the fold of each partition stands. Callable from any thread."""
        return {
            partition: Standing(self._lag(host), host.fold.next_offset) for partition, host in list(self._hosts.items())
        }

    def places(self) -> dict[Partition, Place]:
        """Where each partition is read, and what time its log tells there."""
        places = {}
        for partition, host in list(self._hosts.items()):
            position = host.fold.next_offset
            places[partition] = Place(position, position + self._lag(host), host.fold.clock_ms)
        return places

    def _lag(self, host: FoldHost) -> int:
        end = self._group.highwater(host.partition)
        return 0 if end is None else max(0, end - host.fold.next_offset)

    def watermark_ms(self) -> int | None:
        """How far all partitions of this worker are complete; None while one of them does not know the time."""
        marks = [host.fold.watermark_ms for host in list(self._hosts.values())]
        known = [mark for mark in marks if mark is not None]
        return min(known) if known and len(known) == len(marks) else None


def _rows(checkpoint: Checkpoint) -> list[Message]:
    return [Message(ROLLUPS.name, metric.encode(), value) for metric, value in checkpoint.messages]


async def _settle(hosts: Collection[FoldHost]) -> None:
    # A publication that ended with an exception stays where it is: the process is about to end.
    while publishing := [host.publishing for host in hosts if host.publishing and not host.publishing.done()]:
        await asyncio.wait(publishing)
