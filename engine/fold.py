"""The fold of one input partition: its records, in offset order, to rollup rows. A function of the log alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import cast

from engine.identity import MASK, ODD, SHIFT, base_of
from engine.rows import OpenRow
from engine.segments import Ledger, Occurrences, Segment
from schemas.deadletters import Fault
from schemas.errors import BadRecord, Reason
from schemas.reference import implausible
from schemas.rollups import ROLLUP_10S
from schemas.samples import Kind
from schemas.series import Decoded, Series, series_of
from schemas.wire import Input, Row, Rows, SampleRecord, SeriesCache, Tick, encode

MAX_BOOTS = 100_000
OTHER = "__other__"


class Start(Enum):
    """How the log stands where the fold begins.

    FRESH: at the first record there ever was. WARM: at a commit, so D segments are read for ids and clock only.
    CUT: inside a segment, whose beginning is gone: nothing is folded before the next one begins.
    """

    FRESH = auto()
    WARM = auto()
    CUT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldConfig:
    """What the fold is a function of, beside the log. None of it may change under a rollup definition.

    Attributes:
        ahead_bound_ms: Where ticks tell the clock, how far ahead of it a sender may be before its times are shifted
            back. Far more than `skew_bound_ms`: ticks are missing while their writer is being replaced, and what is
            sent meanwhile is ahead of the clock though every clock is right.
        max_rows: Rows of one segment; points of further series are folded into one series for each metric.
    """

    topic: str
    partition: int
    epoch: str
    window_ms: int = 10_000
    lateness_ms: int = 2_000
    segment_ms: int = 30_000
    horizon_segments: int = 2
    skew_bound_ms: int = 2_000
    ahead_bound_ms: int = 900_000
    max_rows: int = 200_000


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


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Rows to publish, and what will be durable when they are acknowledged.

    Attributes:
        messages: (metric, encoded `Rows`).
        rows: How many rows they hold.
        watermark_ms: How far the partition is complete with them; None while the clock is unknown.
        next_offset: Every record below it is in the rows of this checkpoint or one before.
        durable_below: Index of the first segment whose final rows are not in it.
    """

    messages: Sequence[tuple[str, bytes]]
    rows: int
    watermark_ms: int | None
    next_offset: int
    durable_below: int


class PartitionFold:
    """Folds one input partition.

    Args:
        config: What it is a function of.
        start: How the log stands at `offset`.
        offset: The first record that will be given.
    """

    def __init__(self, config: FoldConfig, *, start: Start, offset: int) -> None:
        self.config = config
        self.counts = Counts()
        self.next_offset = offset
        self.clock_ms: int | None = None
        self._closed_ms = -1
        """Windows that start here or before are closed."""
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
        self._series = SeriesCache()
        self._bases: dict[tuple[str, str], int] = {}
        self._overflows: dict[tuple[str, Kind], Series] = {}
        self._faults: list[tuple[int, list[Fault]]] = []

    @property
    def watermark_ms(self) -> int | None:
        """How far event time is complete; None while the clock is unknown."""
        return None if self.clock_ms is None else self.clock_ms - self.config.lateness_ms

    def fold(self, offsets: Sequence[int], records: Sequence[Input], append_ms: Sequence[int] | None = None) -> None:
        """Folds records in.

        Args:
            offsets: Of each record, rising.
            records: As the decoders give them.
            append_ms: When the broker appended each record, where the topic keeps that time; else ticks tell the clock.
        """
        ahead_ms = self.config.ahead_bound_ms if append_ms is None else self.config.skew_bound_ms
        for index, (offset, record) in enumerate(zip(offsets, records, strict=True)):
            if append_ms is not None:
                self._advance(offset, append_ms[index])
            elif type(record) is Tick and record.epoch == self.config.epoch:
                self._advance(offset, record.at_ms)
            segment = self._segment or self._begin(offset)
            if segment is None:
                continue
            if type(record) is SampleRecord or type(record) is Decoded:
                self._record(offset, record, segment, ahead_ms=ahead_ms)
            elif segment.index >= self._live_from:
                self._refuse(offset, record)
        if offsets:
            self.next_offset = offsets[-1] + 1

    def _advance(self, offset: int, log_ms: int) -> None:
        """Moves the clock; cuts the segment where it passes a multiple of T."""
        clock_ms = self.clock_ms
        if clock_ms is not None and log_ms <= clock_ms:
            return
        self.clock_ms = log_ms
        self._closed_ms = log_ms - self.config.lateness_ms - self.config.window_ms
        span_ms = self.config.segment_ms
        if clock_ms is not None and log_ms // span_ms == clock_ms // span_ms:
            return
        if self._segment is not None:
            ended = self._segment
            if ended.index >= self._live_from:
                self._ended.append(ended)
            self._seen.cut()
            self._open(ended.index + 1, offset)
        elif self._cut and clock_ms is not None:
            self._cut = False

    def _begin(self, offset: int) -> Segment | None:
        if self._cut:
            self.counts.skipped += 1
            return None
        return self._open(0, offset)

    def _open(self, index: int, offset: int) -> Segment:
        self._segment = Segment(index, offset)
        self._ledger.begun(index, offset)
        return self._segment

    def _record(self, offset: int, record: SampleRecord | Decoded, segment: Segment, *, ahead_ms: int) -> None:
        boot = (record.source, record.boot)
        base = self._bases.get(boot)
        if base is None:
            base = self._base(boot)
        hashed = (base + record.seq) * ODD & MASK
        hashed ^= hashed >> SHIFT
        seen = self._seen
        seen.current.add(hashed)
        if hashed in seen.recent:
            self.counts.duplicates += segment.index >= self._live_from
            return
        seen.recent.add(hashed)
        if segment.index < self._live_from:
            return
        shift_ms = 0
        if self.clock_ms is not None:
            skew_ms = self.clock_ms - record.sent_ms
            if skew_ms > self.config.skew_bound_ms or skew_ms < -ahead_ms:
                shift_ms = skew_ms
                self.counts.skewed += 1
        self.counts.records += 1
        if type(record) is SampleRecord:
            self._samples(offset, record, segment, hashed=hashed, shift_ms=shift_ms)
        else:
            self._points(offset, cast(Decoded, record), segment, hashed=hashed, shift_ms=shift_ms)

    def _samples(self, offset: int, record: SampleRecord, segment: Segment, *, hashed: int, shift_ms: int) -> None:
        source, cache, windows, size_ms = record.source, self._series, segment.windows, self.config.window_ms
        record_ms = record.at_ms + shift_ms
        faults: list[Fault] = []
        for index, sample in enumerate(record.samples):
            try:
                series = cache[source, sample.metric, sample.kind, bytes(sample.dimensions)]
                at_ms = record_ms if sample.at_ms is None else _plausible(sample.at_ms, record.sent_ms) + shift_ms
            except BadRecord as bad:
                faults.append(Fault(reason=bad.reason, detail=bad.detail, sample=index))
                continue
            start_ms = at_ms - at_ms % size_ms
            try:
                row = windows[start_ms][series.fingerprint]
            except KeyError:
                row = self._row(segment, start_ms, series, sample.value, at_ms)
            if row.clean or start_ms <= self._closed_ms:
                self._touch(segment, start_ms, row)
            row.add(sample.value, at_ms, hashed, offset)
        self.counts.points += len(record.samples) - len(faults)
        if faults:
            self._note(offset, faults)

    def _points(self, offset: int, record: Decoded, segment: Segment, *, hashed: int, shift_ms: int) -> None:
        for series, value, own_ms, sketch in record.points:
            at_ms = (record.at_ms if own_ms is None else own_ms) + shift_ms
            start_ms = at_ms - at_ms % self.config.window_ms
            row = self._row(segment, start_ms, series, value, at_ms)
            self._touch(segment, start_ms, row)
            if sketch is None:
                row.add(value, at_ms, hashed, offset)
            else:
                row.merge(sketch, at_ms, hashed, offset)
        self.counts.points += len(record.points)
        if record.faults:
            self._note(offset, list(record.faults))

    def _row(self, segment: Segment, start_ms: int, series: Series, value: float, at_ms: int) -> OpenRow:
        window = segment.windows.setdefault(start_ms, {})
        row = window.get(series.fingerprint)
        if row is not None:
            return row
        if segment.rows >= self.config.max_rows:
            series = self._overflow(series)
            row = window.get(series.fingerprint)
            self.counts.overflowed += 1
            if row is not None:
                return row
        segment.rows += 1
        row = window[series.fingerprint] = OpenRow(series, value, at_ms)
        return row

    def _overflow(self, series: Series) -> Series:
        """The series that stands for all that the memory guard keeps apart no more. Never read as absence."""
        key = (series.metric, series.kind)
        known = self._overflows.get(key)
        if known is None:
            known = self._overflows[key] = series_of(series.metric, OTHER, {"overflow": "true"}, series.kind)
        return known

    def _touch(self, segment: Segment, start_ms: int, row: OpenRow) -> None:
        """Before a row changes: it will have to be published; if its window is closed, that came late."""
        if start_ms <= self._closed_ms:
            self.counts.late += 1
        if row.clean:
            row.clean = False
            segment.dirty.setdefault(start_ms, []).append(row)

    def _base(self, boot: tuple[str, str]) -> int:
        if len(self._bases) >= MAX_BOOTS:
            self._bases.clear()
        base = self._bases[boot] = base_of(*boot)
        return base

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
        due = [(segment, sorted(segment.dirty)) for segment in self._ended]
        durable_below = self._live_from
        segment = self._segment
        if segment is not None:
            due.append((segment, sorted(start for start in segment.dirty if early or start <= self._closed_ms)))
            durable_below = segment.index
        self._ended = []
        messages: list[tuple[str, bytes]] = []
        rows = 0
        for one, starts in due:
            by_metric: dict[str, list[Row]] = {}
            for start_ms in starts:
                for row in one.dirty.pop(start_ms):
                    row.clean = True
                    rows += 1
                    by_metric.setdefault(row.series.metric, []).append(row.wire(start_ms))
            messages += [(metric, self._encoded(one, metric, some)) for metric, some in by_metric.items()]
        return Checkpoint(messages, rows, self.watermark_ms, self.next_offset, durable_below)

    def _encoded(self, segment: Segment, metric: str, rows: list[Row]) -> bytes:
        config = self.config
        return encode(
            Rows(
                ROLLUP_10S, config.window_ms, metric, config.topic, config.epoch, config.partition, segment.start, rows
            )
        )

    def acknowledge(self, checkpoint: Checkpoint) -> int | None:
        """The checkpoint's rows are durable. The offset to commit now; None if there is no new one.

        It is the first offset of the segment D before the oldest whose final rows are not durable. Checkpoints are
        acknowledged in their order.
        """
        return self._ledger.durable_below(checkpoint.durable_below)

    def take_faults(self) -> list[tuple[int, list[Fault]]]:
        """Offsets and what was wrong there, since the last call."""
        faults, self._faults = self._faults, []
        return faults


def _plausible(at_ms: int, sent_ms: int) -> int:
    refused = implausible(at_ms, sent_ms)
    if refused is not None:
        raise refused
    return at_ms
