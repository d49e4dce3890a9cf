"""Rows while they are folded: one for each series and window that a segment has points of."""

import numpy as np
from numpy.typing import NDArray

from engine.sketch import buckets_of
from schemas.columns import Sketches, Values, spans
from schemas.samples import Kind, Sketch
from schemas.series import Series

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]

_INT64 = np.iinfo(np.int64)

_ROW = np.dtype(
    [
        *((name, np.int64) for name in ("start_ms", "ver", "n", "first_ms", "last_ms", "zero")),
        *((name, np.float64) for name in ("sum", "min", "max", "first", "last")),
        *((name, np.uint64) for name in ("h_sum", "h_xor")),
        *((name, np.bool_) for name in ("dirty", "gauge", "cumulative")),
    ],
    align=True,
)
_ABSENT = np.zeros((), _ROW)
for _name, _value in (("min", np.inf), ("max", -np.inf), ("first_ms", _INT64.max), ("last_ms", _INT64.min)):
    _ABSENT[_name] = _value

# A bucket and its sign in one number, with the slot above it: indexes of buckets have at most five digits.
_CODE_BITS = 19
_CODE_ZERO = 1 << (_CODE_BITS - 1)

_COUNTER = np.dtype([("slot", np.int64), ("at_ms", np.int64), ("offset", np.int64), ("value", np.float64)])


class OpenRows:
    """Accumulates points. A row has a slot, its fields stand in the slot's place of `table`.

    Points must come in the order of the log: then sums are those of adding one value after the other, to the last bit,
    however the log is cut into calls. `dirty` tells that a row changed since it was published.
    """

    def __init__(self) -> None:
        self.series: list[Series] = []
        self._starts_ms: list[int] = []
        self._rows = np.empty(0, _ROW)
        self._filled = 0
        self._buckets = _Buckets()
        self._counters: list[NDArray[np.void]] = []

    def __len__(self) -> int:
        return len(self.series)

    def open(self, series: Series, start_ms: int) -> int:
        """A new row, without a point yet; its slot."""
        self.series.append(series)
        self._starts_ms.append(start_ms)
        return len(self.series) - 1

    @property
    def table(self) -> NDArray[np.void]:
        """The rows' fields."""
        filled, count = self._filled, len(self.series)
        if filled < count:
            if len(self._rows) < count:
                self._rows = np.concatenate([self._rows[:filled], np.empty(2 * count - filled, _ROW)])
            fresh = self._rows[filled:count]
            fresh[:] = _ABSENT
            fresh["start_ms"] = self._starts_ms[filled:]
            fresh["gauge"] = [series.kind is Kind.GAUGE for series in self.series[filled:]]
            fresh["cumulative"] = [series.kind is Kind.CUMULATIVE for series in self.series[filled:]]
            self._filled = count
        return self._rows[:count]

    def add(self, slots: Ints, values: Floats, at_ms: Ints, hashes: Hashes, offsets: Ints) -> None:
        """Folds points in, each into its row.

        Gauges are counted into the sketch: a quantile of a counter's readings or of single increments says nothing.
        """
        table = self.table
        np.add.at(table["n"], slots, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            np.add.at(table["sum"], slots, values)
        np.minimum.at(table["min"], slots, values)
        np.maximum.at(table["max"], slots, values)
        self._note(slots, values, at_ms, hashes, offsets)
        gauge = table["gauge"][slots]
        if gauge.any():
            self._count(slots[gauge], values[gauge])
        cumulative = table["cumulative"][slots]
        if cumulative.any():
            counters = np.empty(int(cumulative.sum()), _COUNTER)
            columns = {"slot": slots, "at_ms": at_ms, "offset": offsets, "value": values}
            for name, column in columns.items():
                counters[name] = column[cumulative]
            self._counters.append(counters)

    def merge(self, slot: int, sketch: Sketch, at_ms: int, hashed: int, offset: int) -> None:
        """Folds a whole distribution in. Its mean stands for its first and last value."""
        row = self.table[slot]
        sides = (sketch.positive, sketch.negative)
        buckets = np.array([int(bucket) for side in sides for bucket in side], np.int64)
        counts = np.array([count for side in sides for count in side.values()], np.int64)
        n = sketch.zero + int(counts.sum())
        one, mean = np.array([slot]), np.array([sketch.sum / max(n, 1)])
        self._note(one, mean, np.array([at_ms]), np.array([hashed], np.uint64), np.array([offset]))
        with np.errstate(over="ignore", invalid="ignore"):
            row["sum"] += sketch.sum
        row["n"] += n
        row["zero"] += sketch.zero
        row["min"], row["max"] = min(row["min"], sketch.min), max(row["max"], sketch.max)
        below = np.arange(len(buckets)) >= len(sketch.positive)
        self._buckets.merge(slot, _codes(buckets, below), counts)

    def _note(self, slots: Ints, values: Floats, at_ms: Ints, hashes: Hashes, offsets: Ints) -> None:
        table = self.table
        earliest_before, unseen = table["first_ms"][slots], table["ver"][slots] == 0
        np.minimum.at(table["first_ms"], slots, at_ms)
        np.maximum.at(table["last_ms"], slots, at_ms)
        # Where a slot stands more than once, the last assignment holds: of equal times the last point is the last, and
        # the first one the first.
        last = at_ms == table["last_ms"][slots]
        table["last"][slots[last]] = values[last]
        first = (at_ms == table["first_ms"][slots]) & ((at_ms < earliest_before) | unseen)
        table["first"][slots[first][::-1]] = values[first][::-1]
        np.add.at(table["h_sum"], slots, hashes)
        np.bitwise_xor.at(table["h_xor"], slots, hashes)
        table["ver"][slots] = offsets + 1
        table["dirty"][slots] = True

    def _count(self, slots: Ints, values: Floats) -> None:
        zero = values == 0.0
        if zero.any():
            np.add.at(self.table["zero"], slots[zero], 1)
            slots, values = slots[~zero], values[~zero]
        codes = _codes(buckets_of(np.abs(values)), values < 0.0)
        self._buckets.add(slots, codes)

    def due(self, *, closed_ms: int | None) -> Ints:
        """Slots of rows that changed since they were published, in order of time.

        Args:
            closed_ms: Only of windows that start here or before; None for all.
        """
        table = self.table
        wanted = table["dirty"] if closed_ms is None else table["dirty"] & (table["start_ms"] <= closed_ms)
        slots = np.flatnonzero(wanted)
        return slots[np.argsort(table["start_ms"][slots], kind="stable")]

    def publish(self, slots: Ints) -> Values:
        """These rows as they are published. They are not dirty then."""
        table = self.table[slots]
        self.table["dirty"][slots] = False
        positive, negative = self._buckets.of(slots, rows=len(self))
        return Values(
            start_ms=table["start_ms"],
            ver=table["ver"],
            n=table["n"],
            sum=np.nan_to_num(table["sum"]),
            min=table["min"],
            max=table["max"],
            first=table["first"],
            first_ms=table["first_ms"],
            last=table["last"],
            last_ms=table["last_ms"],
            increase=np.nan_to_num(self._increases(slots)),
            h_sum=table["h_sum"],
            h_xor=table["h_xor"],
            zero=table["zero"],
            positive=positive,
            negative=negative,
        )

    def _increases(self, slots: Ints) -> Floats:
        """Growth between a counter's values in order of time. After a fall it counts from zero: it restarted."""
        growth = np.zeros(len(self))
        if self._counters and self.table["cumulative"][slots].any():
            wanted = np.zeros(len(self), np.bool_)
            wanted[slots] = True
            points = np.concatenate(self._counters)
            self._counters = [points]
            points = points[wanted[points["slot"]]]
            points = points[np.lexsort((points["value"], points["offset"], points["at_ms"], points["slot"]))]
            before, after = points["value"][:-1], points["value"][1:]
            same = points["slot"][:-1] == points["slot"][1:]
            steps = np.where(after >= before, after - before, after)
            with np.errstate(over="ignore"):
                np.add.at(growth, points["slot"][1:][same], steps[same])
        return growth[slots]


class _Buckets:
    """How many values each row has in each bucket of its sketch. Counted when the row is published."""

    def __init__(self) -> None:
        self._single: list[Ints] = [np.zeros(0, np.int64)]
        """Keys of values that were not counted yet: each the slot of a row and the code of a bucket."""
        self._keys = np.zeros(0, np.int64)
        self._counts = np.zeros(0, np.int64)

    def add(self, slots: Ints, codes: Ints) -> None:
        """One value for each slot."""
        self._single.append((slots << _CODE_BITS) + codes)

    def merge(self, slot: int, codes: Ints, counts: Ints) -> None:
        """Values that were counted elsewhere."""
        self._keys = np.concatenate([self._keys, (slot << _CODE_BITS) + codes])
        self._counts = np.concatenate([self._counts, counts])

    def of(self, slots: Ints, *, rows: int) -> tuple[Sketches, Sketches]:
        """Of these slots, of so many rows, the buckets above zero, and those below."""
        wanted = np.zeros(rows, np.bool_)
        wanted[slots] = True
        keys, counts = self._counted(wanted)
        starts = np.searchsorted(keys, slots << _CODE_BITS)
        lengths = np.searchsorted(keys, (slots + 1) << _CODE_BITS) - starts
        places = spans(starts, lengths)
        codes, counts = (keys[places] & ((1 << _CODE_BITS) - 1)) - _CODE_ZERO, counts[places]
        row, below = np.repeat(np.arange(len(slots)), lengths), (codes & 1).astype(np.bool_)
        positive, negative = (
            Sketches(np.bincount(row[side], minlength=len(slots)), codes[side] >> 1, counts[side])
            for side in (~below, below)
        )
        return positive, negative

    def _counted(self, wanted: NDArray[np.bool_]) -> tuple[Ints, Ints]:
        """The keys of these rows in order, each once, and how many values they have."""
        single = np.concatenate(self._single)
        chosen = wanted[single >> _CODE_BITS]
        self._single = [single[~chosen]]
        keys, counts = np.unique(single[chosen], return_counts=True)
        again = wanted[self._keys >> _CODE_BITS]
        if again.any():
            # Rows that were published before, or that distributions were merged into.
            some = np.concatenate([self._counts[again], counts])
            keys, where = np.unique(np.concatenate([self._keys[again], keys]), return_inverse=True)
            counts = np.zeros(len(keys), np.int64)
            np.add.at(counts, where, some)
        self._keys = np.concatenate([self._keys[~again], keys])
        self._counts = np.concatenate([self._counts[~again], counts])
        return keys, counts


def _codes(buckets: Ints, below: NDArray[np.bool_]) -> Ints:
    return (buckets << 1) + below + _CODE_ZERO
