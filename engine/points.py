"""Points on their way from records into rows: columns, in the order of the log."""

from array import array
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from engine.rows import Hashes, Ints
from engine.segments import Segment
from engine.shapes import Shape, Shapes
from schemas.deadletters import Fault
from schemas.reference import implausible
from schemas.samples import Sketch
from schemas.series import Decoded
from schemas.wire import Sample, SampleRecord

Folded = SampleRecord | Decoded


class Arrived(NamedTuple):
    """Records of one segment that were not seen before, column by column.

    Attributes:
        shift_ms: What is added to the times of a record, since its sender's clock is wrong.
        closed_ms: Windows that start here or before are closed when the record comes.
    """

    records: Sequence[Folded]
    offsets: Ints
    hashes: Hashes
    shift_ms: Ints
    closed_ms: Ints


class Tally(NamedTuple):
    """What was folded in: points, of them late ones and such without a series of their own; and what was refused."""

    points: int
    late: int
    overflowed: int
    faults: list[tuple[int, list[Fault]]]


class _Distribution(NamedTuple):
    record: int
    slot: int
    at_ms: int
    sketch: Sketch


class Points:
    """Finds the row of every point, then folds all of them in at once.

    Args:
        segment: What the records belong to.
        shapes: The shapes of records that were seen before.
    """

    def __init__(self, segment: Segment, shapes: Shapes, arrived: Arrived, *, window_ms: int) -> None:
        self._segment = segment
        self._shapes = shapes
        self._arrived = arrived
        self._window_ms = window_ms
        self._at_ms = np.array([record.at_ms for record in arrived.records], np.int64) + arrived.shift_ms
        self._slots = array("q")
        self._values: list[float] = []
        self._counts: list[int] = []
        """Of each record, how many values it has."""
        self._own: list[tuple[int, int]] = []
        """(place among the values, time) of points that have a time of their own."""
        self._distributions: list[_Distribution] = []
        self._faults: list[tuple[int, list[Fault]]] = []

    def fold(self) -> Tally:
        """Folds the points of all records in."""
        self._gather()
        counts, arrived, rows = np.array(self._counts, np.int64), self._arrived, self._segment.rows
        late = 0
        if self._slots:
            slots = np.frombuffer(self._slots, np.int64)
            at_ms = np.repeat(self._at_ms, counts)
            for place, own_ms in self._own:
                at_ms[place] = own_ms
            rows.add(
                slots,
                np.array(self._values, np.float64),
                at_ms,
                np.repeat(arrived.hashes, counts),
                np.repeat(arrived.offsets, counts),
            )
            late = int(np.count_nonzero(rows.table["start_ms"][slots] <= np.repeat(arrived.closed_ms, counts)))
        for record, slot, at, sketch in self._distributions:
            rows.merge(slot, sketch, at, int(arrived.hashes[record]), int(arrived.offsets[record]))
            late += bool(rows.table["start_ms"][slot] <= arrived.closed_ms[record])
        return Tally(len(self._values) + len(self._distributions), late, self._overflowed(), self._faults)

    def _gather(self) -> None:
        starts = (self._at_ms - self._at_ms % self._window_ms).tolist()
        segment, known, slots, values, counts = (
            self._segment,
            self._shapes.known,
            self._slots,
            self._values,
            self._counts,
        )
        for index, record in enumerate(self._arrived.records):
            before = len(values)
            if type(record) is not SampleRecord:
                self._decoded(index, cast(Decoded, record))
                counts.append(len(values) - before)
                continue
            samples, count = record.samples, len(record.samples)
            first = samples[0]
            key = (record.source, count, first.metric, first.kind, bytes(first.dimensions))
            shape = known.get(key)
            if shape is None or (count > 1 and not shape.fits(samples)):
                shape = self._shapes.learn(key, record)
            if shape.faults or (first.at_ms is not None if count == 1 else _have_times(samples)):
                self._one_by_one(index, record, shape)
                counts.append(len(values) - before)
                continue
            its = shape.slots.get(starts[index]) if shape.owner is segment else None
            slots.extend(segment.learn(shape, starts[index]) if its is None else its)
            if count == 1:
                values.append(first.value)
            else:
                values += [sample.value for sample in samples]
            counts.append(count)

    def _one_by_one(self, index: int, record: SampleRecord, shape: Shape) -> None:
        """Samples of a record that has faults, or times in it."""
        faults = list(shape.faults)
        for place, (sample, series) in enumerate(zip(record.samples, shape.series, strict=True)):
            refused = None if sample.at_ms is None else implausible(sample.at_ms, record.sent_ms)
            if series is not None and refused is not None:
                faults.append(Fault(reason=refused.reason, detail=refused.detail, sample=place))
            elif series is not None:
                at_ms = self._time(index, sample.at_ms)
                self._own.append((len(self._values), at_ms))
                self._slots.append(self._segment.slot(at_ms - at_ms % self._window_ms, series))
                self._values.append(sample.value)
        self._refused(index, sorted(faults, key=lambda fault: fault.sample or 0))

    def _decoded(self, index: int, record: Decoded) -> None:
        for series, value, own_ms, sketch in record.points:
            at_ms = self._time(index, own_ms)
            slot = self._segment.slot(at_ms - at_ms % self._window_ms, series)
            if sketch is None:
                self._own.append((len(self._values), at_ms))
                self._slots.append(slot)
                self._values.append(value)
            else:
                self._distributions.append(_Distribution(index, slot, at_ms, sketch))
        self._refused(index, list(record.faults))

    def _time(self, index: int, own_ms: int | None) -> int:
        return int(self._at_ms[index] if own_ms is None else own_ms + self._arrived.shift_ms[index])

    def _refused(self, index: int, faults: list[Fault]) -> None:
        if faults:
            self._faults.append((int(self._arrived.offsets[index]), faults))

    def _overflowed(self) -> int:
        overflowed = self._segment.overflowed
        if not overflowed:
            return 0
        slots = [*self._slots, *(one.slot for one in self._distributions)]
        return sum(slot in overflowed for slot in slots)


def _have_times(samples: Sequence[Sample]) -> bool:
    return [sample.at_ms for sample in samples].count(None) < len(samples)
