"""Points on their way from records into rows: columns, in the order of the log."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from engine.columns import UNKNOWN_MS, Columns
from engine.rows import Hashes, Ints
from engine.segments import REFUSED, Segment
from engine.shapes import NOTHING, Shapes
from schemas.deadletters import Fault
from schemas.reference import FUTURE_BOUND_MS, PAST_BOUND_MS, implausible


class Arrived(NamedTuple):
    """Records of one segment, and what the log says of each of them.

    Attributes:
        clock_ms: What the log's clock showed when it came.
    """

    records: Columns
    offsets: Ints
    hashes: Hashes
    clock_ms: Ints

    def between(self, part: slice) -> "Arrived":
        """Those of a part."""
        kept = np.arange(len(self.offsets))[part]
        return self if len(kept) == len(self.offsets) else self.only(kept)

    def only(self, kept: Ints) -> "Arrived":
        """Those at these places, which rise."""
        return Arrived(self.records.only(kept), self.offsets[kept], self.hashes[kept], self.clock_ms[kept])


class Tally(NamedTuple):
    """What was folded in: points, of them late ones and such without a series of their own; and what was refused."""

    points: int
    late: int
    overflowed: int
    faults: list[tuple[int, list[Fault]]]


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
        self._records = arrived.records
        self._owners = arrived.records.owners
        self._shift_ms = shift_ms
        self._closed_ms = closed_ms
        self._window_ms = window_ms
        self._faults = defaultdict(list, {place: list(found) for place, found in arrived.records.faults.items()})

    def fold(self) -> Tally:
        """Folds the points of all records in."""
        segment, owners = self._segment, self._owners
        at_ms, places = self._timed()
        starts_ms = at_ms - at_ms % self._window_ms
        slots = segment.slots(starts_ms, places, self._shapes.series)
        self._add(slots, at_ms)
        used = slots != REFUSED
        late = np.count_nonzero(used & (starts_ms <= self._closed_ms[owners]))
        overflowed = np.isin(slots, list(segment.overflowed)).sum() if segment.overflowed else 0
        return Tally(int(used.sum()), int(late), int(overflowed), self._told())

    def _timed(self) -> tuple[Ints, Ints]:
        """When each point was, and the place of its series: of none where its own time is implausible."""
        records, owners = self._records, self._owners
        at_ms, own_ms = self._shifted(records.at_ms, self._shift_ms)[owners], records.own_ms
        has_own = own_ms != UNKNOWN_MS
        if not has_own.any():
            return at_ms, records.places
        after_ms = own_ms - records.sent_ms[owners]
        refused = has_own & ((after_ms < -PAST_BOUND_MS) | (after_ms > FUTURE_BOUND_MS))
        for point in np.flatnonzero(refused).tolist():
            self._refuse(point)
        at_ms = np.where(has_own & ~refused, self._shifted(own_ms, self._shift_ms[owners]), at_ms)
        return at_ms, np.where(refused, NOTHING, records.places)

    @staticmethod
    def _shifted(at_ms: Ints, shift_ms: Ints) -> Ints:
        """Never before 1970, whatever a clock says that was not set yet: nobody could read such a row."""
        shifted: Ints = np.maximum(at_ms + shift_ms, 0)
        return shifted

    def _refuse(self, point: int) -> None:
        """Tells of a point with an implausible time, unless it was told of already."""
        records, owner = self._records, int(self._owners[point])
        why = implausible(int(records.own_ms[point]), int(records.sent_ms[owner]))
        if why is not None and self._shapes.series[records.places[point]] is not None:
            sample = point - int(records.counts[:owner].sum())
            self._faults[owner].append(Fault(reason=why.reason, detail=why.detail, sample=sample))

    def _add(self, slots: Ints, at_ms: Ints) -> None:
        """Folds all in, in their order: distributions between the values around them."""
        owners, rows, sketches = self._owners, self._segment.rows, self._records.sketches
        hashes, offsets, values = self._arrived.hashes[owners], self._arrived.offsets[owners], self._records.values
        plain, begin = slots != REFUSED, 0
        plain[list(sketches)] = False
        for place in (*sketches, len(slots)):
            chosen = np.flatnonzero(plain[begin:place]) + begin
            if len(chosen):
                rows.add(slots[chosen], values[chosen], at_ms[chosen], hashes[chosen], offsets[chosen])
            if place in sketches and slots[place] != REFUSED:
                sketch, hashed = sketches[place], int(hashes[place])
                rows.merge(int(slots[place]), sketch, int(at_ms[place]), hashed, int(offsets[place]))
            begin = place

    def _told(self) -> list[tuple[int, list[Fault]]]:
        """Offsets of records, and what was refused of them in the order of their samples."""
        offsets = self._arrived.offsets
        return [
            (int(offsets[index]), sorted(faults, key=lambda fault: fault.sample or 0))
            for index, faults in self._faults.items()
        ]
