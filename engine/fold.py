"""The fold of one input partition: its records, in offset order, to rollup rows. A function of the log alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

import numpy as np

from engine.checkpoints import Checkpoint, messages
from engine.columns import gather
from engine.directory import Directory
from engine.fold_config import FoldConfig, Start
from engine.occurrences import Occurrences, record_hashes
from engine.points import Arrived, Points
from engine.rows import Ints
from engine.segments import Ledger, Segment
from engine.shapes import Shapes
from schemas.deadletters import Fault
from schemas.errors import BadRecord, Reason
from schemas.samples import Kind
from schemas.series import Series, series_of
from schemas.wire import Input, Tick

OTHER = "__other__"
UNKNOWN = -1
"""The clock before the log has told any time."""


@dataclass(slots=True)
class Counts:
    """What the fold has seen so far."""

    records: int = 0
    points: int = 0
    duplicates: int = 0
    late: int = 0
    skewed: int = 0
    skipped: int = 0
    faults: int = 0
    overflowed: int = 0


class PartitionFold:
    """Folds one input partition, in columns: what is done for each record is done a million times a minute.

    Args:
        config: What it is a function of.
        start: How the log stands at `offset`.
        offset: The first record that will be given.
    """

    def __init__(self, config: FoldConfig, *, start: Start, offset: int) -> None:
        self.config = config
        self.counts = Counts()
        self.next_offset = offset
        self._clock_ms = UNKNOWN
        self._live_from = config.horizon_segments if start is Start.WARM else 0
        self._cut = start is Start.CUT
        self._segment: Segment | None = None
        self._ended: list[Segment] = []
        self._ledger = Ledger(
            horizon=config.horizon_segments,
            committed=offset if start is Start.WARM else None,
            durable=self._live_from,
        )
        self._seen = Occurrences(config.horizon_segments)
        self._shapes = Shapes(forgetting=self._seen.settle)
        self._directory = Directory()
        self._overflows: dict[tuple[str, Kind], Series] = {}
        self._faults: list[tuple[int, list[Fault]]] = []

    @property
    def clock_ms(self) -> int | None:
        """The log's time; None before it has told any."""
        return None if self._clock_ms == UNKNOWN else self._clock_ms

    @property
    def watermark_ms(self) -> int | None:
        """How far event time is complete; None while the clock is unknown."""
        return None if self._clock_ms == UNKNOWN else self._clock_ms - self.config.lateness_ms

    @property
    def segment_start(self) -> int:
        """Offset of the first record of the open segment; before there is one, of the next record."""
        return self.next_offset if self._segment is None else self._segment.start

    def fold(self, offsets: Sequence[int], records: Sequence[Input], append_ms: Sequence[int] | None = None) -> None:
        """Folds records in.

        Args:
            offsets: Of each record, rising.
            records: As the decoders give them.
            append_ms: When the broker appended each record, where the topic keeps that time; else ticks tell the clock.
        """
        self.fold_parts(offsets, [records], append_ms)

    def fold_parts(
        self, offsets: Sequence[int], parts: Iterable[Sequence[Input]], append_ms: Sequence[int] | None = None
    ) -> None:
        """The same of records that come in parts, one after the other: each is let go before the next is asked for."""
        if not offsets:
            return
        ahead_ms = self.config.ahead_bound_ms if append_ms is None else self.config.skew_bound_ms
        records, others = gather(parts, self._shapes)
        told = self._ticks(len(offsets), others) if append_ms is None else np.array(append_ms, np.int64)
        clock = np.maximum.accumulate(np.maximum(told, self._clock_ms))
        hashes = record_hashes(records.shapes["base"], records.seqs.view(np.uint64))
        all_offsets, inputs = np.array(offsets, np.int64), records.inputs
        arrived = Arrived(records, all_offsets[inputs], hashes, clock[inputs])
        for first, end in self._runs(clock):
            segment = self._segment_at(offsets[first], int(clock[first]))
            self._clock_ms = int(clock[end - 1])
            if segment is None:
                self.counts.skipped += end - first
                continue
            if segment.index >= self._live_from:
                for place in others:
                    if first <= place < end:
                        self._refuse(offsets[place], others[place])
            run = slice(*np.searchsorted(inputs, (first, end)).tolist())
            self._run(segment, arrived.between(run), ahead_ms=ahead_ms)
        self.next_offset = offsets[-1] + 1

    def _ticks(self, count: int, others: Mapping[int, Input]) -> Ints:
        """What the ticks of our epoch say, in their places."""
        told = np.full(count, UNKNOWN, np.int64)
        for place, record in others.items():
            if isinstance(record, Tick) and record.epoch == self.config.epoch:
                told[place] = record.at_ms
        return told

    def _runs(self, clock: Ints) -> Iterator[tuple[int, int]]:
        """First and end of the records between two times that the clock passes a multiple of T."""
        spans = clock // self.config.segment_ms
        passings = (np.flatnonzero(spans[1:] != spans[:-1]) + 1).tolist()
        return pairwise([0, *passings, len(clock)])

    def _segment_at(self, offset: int, clock_ms: int) -> Segment | None:
        """The segment that a record belongs to, which begins if the clock passes a multiple of T with it."""
        passes = clock_ms // self.config.segment_ms != self._clock_ms // self.config.segment_ms
        before = self._segment
        if before is None:
            # What is left of a segment whose beginning is gone is skipped.
            if self._cut and (not passes or self._clock_ms == UNKNOWN):
                return None
            self._cut = False
            return self._open(0, offset)
        if not passes:
            return before
        if before.index >= self._live_from:
            self._ended.append(before)
        self._seen.cut()
        return self._open(before.index + 1, offset)

    def _open(self, index: int, offset: int) -> Segment:
        self._segment = Segment(index, offset, max_rows=self.config.max_rows, overflow=self._overflow)
        self._ledger.begun(index, offset)
        return self._segment

    def _overflow(self, series: Series) -> Series:
        """The series that stands for all that the memory guard keeps apart no more. Never read as absence."""
        key = (series.metric, series.kind)
        known = self._overflows.get(key)
        if known is None:
            known = self._overflows[key] = series_of(series.metric, OTHER, {"overflow": "true"}, series.kind)
        return known

    def _run(self, segment: Segment, arrived: Arrived, *, ahead_ms: int) -> None:
        """Folds records of one segment; in a segment before the first live one it only learns their ids."""
        records = arrived.records
        fresh = self._seen.admit(records.shapes["boot"], records.seqs, arrived.hashes)
        if segment.index < self._live_from:
            return
        repeats = len(records.seqs) - len(fresh)
        self.counts.duplicates += repeats
        if len(fresh):
            self._add(segment, arrived.only(fresh) if repeats else arrived, ahead_ms=ahead_ms)

    def _add(self, segment: Segment, arrived: Arrived, *, ahead_ms: int) -> None:
        """Folds the points in of records that were not seen before."""
        config, counts, clock = self.config, self.counts, arrived.clock_ms
        unknown = clock == UNKNOWN
        skew_ms = np.where(unknown, 0, clock - arrived.records.sent_ms)
        skewed = (skew_ms > config.skew_bound_ms) | (skew_ms < -ahead_ms)
        tally = Points(
            segment,
            self._shapes,
            arrived,
            shift_ms=np.where(skewed, skew_ms, 0),
            closed_ms=np.where(unknown, UNKNOWN, clock - config.lateness_ms - config.window_ms),
            window_ms=config.window_ms,
        ).fold()
        counts.records += len(arrived.offsets)
        counts.points += tally.points
        counts.late += tally.late
        counts.overflowed += tally.overflowed
        counts.skewed += int(np.count_nonzero(skewed))
        for offset, faults in tally.faults:
            self._note(offset, faults)

    def _note(self, offset: int, faults: list[Fault]) -> None:
        self.counts.faults += len(faults)
        self._faults.append((offset, faults))

    def _refuse(self, offset: int, record: Input) -> None:
        if isinstance(record, BadRecord):
            self._note(offset, [Fault(reason=record.reason, detail=record.detail)])
        elif isinstance(record, Tick) and record.epoch != self.config.epoch:
            detail = f"a tick of epoch {record.epoch}; this topic's is {self.config.epoch}"
            self._note(offset, [Fault(reason=Reason.FOREIGN_TICK, detail=detail[:500])])

    def checkpoint(self, *, early: bool) -> Checkpoint:
        """The rows that are due: of ended segments, of closed windows, and with `early` of open windows too."""
        due = [(segment, segment.rows.due(closed_ms=None)) for segment in self._ended]
        durable_below, segment = self._live_from, self._segment
        if segment is not None:
            known = self._clock_ms != UNKNOWN
            closed_ms = self._clock_ms - self.config.lateness_ms - self.config.window_ms if known else UNKNOWN
            due.append((segment, segment.rows.due(closed_ms=None if early else closed_ms)))
            durable_below = segment.index
        self._ended = []
        values = [
            message
            for one, slots in due
            if len(slots)
            for message in messages(self.config, self._directory, one, slots)
        ]
        rows = sum(len(slots) for _, slots in due)
        return Checkpoint(values, rows, self.watermark_ms, self.next_offset, durable_below)

    def acknowledge(self, checkpoint: Checkpoint) -> int | None:
        """The checkpoint's rows are durable. The offset to commit now; None if there is no new one.

        It is the first offset of the segment D before the oldest whose final rows are not durable. Checkpoints are
        acknowledged in their order.
        """
        return self._ledger.durable_below(checkpoint.durable_below)

    def take_faults(self) -> list[tuple[int, list[Fault]]]:
        """Offsets and what was wrong there, since the last call."""
        faults, self._faults = sorted(self._faults, key=itemgetter(0)), []
        return faults
