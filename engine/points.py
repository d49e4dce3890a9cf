"""Points on their way from records into rows: columns, in the order of the log."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from engine.rows import Hashes, Ints
from engine.segments import REFUSED, UNKNOWN, Segment
from engine.shapes import NOTHING, Folded, Shapes, Table
from schemas.deadletters import Fault
from schemas.reference import FUTURE_BOUND_MS, PAST_BOUND_MS, implausible
from schemas.samples import Sketch
from schemas.wire import SampleRecord


class Arrived(NamedTuple):
    """Records of one segment, column by column.

    Attributes:
        shapes: Of each record, see `engine.shapes`.
        clock_ms: What the log's clock showed when it came.
    """

    records: Sequence[Folded]
    shapes: Table
    offsets: Ints
    hashes: Hashes
    clock_ms: Ints

    def only(self, places: Sequence[int]) -> "Arrived":
        """Those at these places."""
        kept = np.array(places, np.int64)
        return Arrived(
            [self.records[place] for place in places],
            self.shapes[kept],
            self.offsets[kept],
            self.hashes[kept],
            self.clock_ms[kept],
        )


class Tally(NamedTuple):
    """What was folded in: points, of them late ones and such without a series of their own; and what was refused."""

    points: int
    late: int
    overflowed: int
    faults: list[tuple[int, list[Fault]]]


class _Gathered(NamedTuple):
    """Points of all records, one after the other.

    Attributes:
        counts: Of each record, how many it has.
        places: Of each point, where its series stands among all.
        own_ms: The times that they have of their own.
        sketches: By the place of a point, the distribution that it is.
    """

    counts: Ints
    places: Ints
    values: list[float]
    own_ms: list[int | None]
    sketches: dict[int, Sketch]


class Points:
    """Finds the row of every point, then folds all of them in at once.

    Args:
        shapes: Those that the records' shapes are of.
        arrived: Records that were not seen before.
        shift_ms: What is added to the times of each record, since its sender's clock is wrong.
        closed_ms: Of each record: windows that start here or before are closed when it comes.
    """

    def __init__(
        self, segment: Segment, shapes: Shapes, arrived: Arrived, *, shift_ms: Ints, closed_ms: Ints, window_ms: int
    ) -> None:
        self._segment = segment
        self._shapes = shapes
        self._arrived = arrived
        self._shift_ms = shift_ms
        self._closed_ms = closed_ms
        self._window_ms = window_ms
        self._faults: defaultdict[int, list[Fault]] = defaultdict(list)
        for index in np.flatnonzero(arrived.shapes["faulty"]).tolist():
            self._faults[index] += shapes.faults(int(arrived.shapes["id"][index]))

    def fold(self) -> Tally:
        """Folds the points of all records in."""
        gathered, segment = self._gathered(), self._segment
        owners = np.repeat(np.arange(len(gathered.counts)), gathered.counts)
        at_ms = self._times(gathered, owners)
        starts_ms = at_ms - at_ms % self._window_ms
        slots = segment.slots(starts_ms, gathered.places, self._shapes.series)
        self._add(gathered, owners, slots, at_ms)
        used = slots != REFUSED
        late = np.count_nonzero(used & (starts_ms <= self._closed_ms[owners]))
        overflowed = np.isin(slots, list(segment.overflowed)).sum() if segment.overflowed else 0
        return Tally(int(used.sum()), int(late), int(overflowed), self._told())

    def _gathered(self) -> _Gathered:
        counts, firsts = self._arrived.shapes["count"], self._arrived.shapes["first"]
        if not counts.all():
            return self._gathered_one_by_one()
        records = cast("Sequence[SampleRecord]", self._arrived.records)
        samples = [sample for record in records for sample in record.samples]
        places = np.arange(len(samples)) + np.repeat(firsts - np.cumsum(counts) + counts, counts)
        return _Gathered(counts, places, [sample.value for sample in samples], [sample.at_ms for sample in samples], {})

    def _gathered_one_by_one(self) -> _Gathered:
        """The same where some records name their series themselves."""
        counts: list[int] = []
        places: list[int] = []
        values: list[float] = []
        own_ms: list[int | None] = []
        sketches: dict[int, Sketch] = {}
        firsts = self._arrived.shapes["first"].tolist()
        for index, (record, first) in enumerate(zip(self._arrived.records, firsts, strict=True)):
            if isinstance(record, SampleRecord):
                counts.append(len(record.samples))
                places += range(first, first + len(record.samples))
                values += [sample.value for sample in record.samples]
                own_ms += [sample.at_ms for sample in record.samples]
                continue
            self._faults[index] += record.faults
            counts.append(len(record.points))
            for series, value, at_ms, sketch in record.points:
                if sketch is not None:
                    sketches[len(values)] = sketch
                places.append(self._shapes.place(series))
                values.append(value)
                own_ms.append(at_ms)
        return _Gathered(np.array(counts, np.int64), np.array(places, np.int64), values, own_ms, sketches)

    def _times(self, gathered: _Gathered, owners: Ints) -> Ints:
        """When each point was. One that has an implausible time of its own is refused: its series is none then."""
        records = self._arrived.records
        at_ms = self._shifted(np.array([record.at_ms for record in records], np.int64), self._shift_ms)[owners]
        if gathered.own_ms.count(None) == len(gathered.own_ms):
            return at_ms
        own_ms = np.array([UNKNOWN if own is None else own for own in gathered.own_ms], np.int64)
        has_own, sent_ms = own_ms != UNKNOWN, np.array([record.sent_ms for record in records], np.int64)[owners]
        after_ms = own_ms - sent_ms
        refused = has_own & ((after_ms < -PAST_BOUND_MS) | (after_ms > FUTURE_BOUND_MS))
        for place in np.flatnonzero(refused).tolist():
            self._refuse(gathered, place, int(owners[place]))
        return np.where(has_own & ~refused, self._shifted(own_ms, self._shift_ms[owners]), at_ms)

    @staticmethod
    def _shifted(at_ms: Ints, shift_ms: Ints) -> Ints:
        """Never before 1970, whatever a clock says that was not set yet: nobody could read such a row."""
        shifted: Ints = np.maximum(at_ms + shift_ms, 0)
        return shifted

    def _refuse(self, gathered: _Gathered, place: int, owner: int) -> None:
        """Tells of a point with an implausible time, unless it was told of already."""
        why = implausible(gathered.own_ms[place] or 0, self._arrived.records[owner].sent_ms)
        if why is not None and self._shapes.series[gathered.places[place]] is not None:
            sample = place - int(gathered.counts[:owner].sum())
            self._faults[owner].append(Fault(reason=why.reason, detail=why.detail, sample=sample))
        gathered.places[place] = NOTHING

    def _add(self, gathered: _Gathered, owners: Ints, slots: Ints, at_ms: Ints) -> None:
        """Folds all in, in their order: distributions between the values around them."""
        hashes, offsets, rows = self._arrived.hashes[owners], self._arrived.offsets[owners], self._segment.rows
        values = np.array(gathered.values, np.float64)
        plain, begin = slots != REFUSED, 0
        plain[list(gathered.sketches)] = False
        for place in (*gathered.sketches, len(slots)):
            chosen = np.flatnonzero(plain[begin:place]) + begin
            if len(chosen):
                rows.add(slots[chosen], values[chosen], at_ms[chosen], hashes[chosen], offsets[chosen])
            if place in gathered.sketches and slots[place] != REFUSED:
                sketch, hashed = gathered.sketches[place], int(hashes[place])
                rows.merge(int(slots[place]), sketch, int(at_ms[place]), hashed, int(offsets[place]))
            begin = place

    def _told(self) -> list[tuple[int, list[Fault]]]:
        """Offsets of records, and what was refused of them in the order of their samples."""
        offsets = self._arrived.offsets
        return [
            (int(offsets[index]), sorted(faults, key=lambda fault: fault.sample or 0))
            for index, faults in self._faults.items()
            if faults
        ]
