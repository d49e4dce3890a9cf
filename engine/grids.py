"""Rollups of a stretch of the past as grids: a row for each series, a column for each window.

Grids are for what looks at millions of windows and finds something in few of them. Where something is found, the rows
there are given back as those that rules read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.combine import Combined, merge
from engine.held import HeldSeries

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Array = Floats | Integers

NUMBERS = {"n": "i8", "sum": "f8", "min": "f8", "max": "f8", "first": "f8", "first_ms": "i8", "last": "f8",
           "last_ms": "i8", "increase": "f8"}  # fmt: skip
"""Columns of rollups that a grid may have, with their types."""


class Span(NamedTuple):
    """Windows of one length that follow each other.

    Attributes:
        from_ms: Start of the first one.
    """

    from_ms: int
    windows: int
    window_ms: int

    @property
    def to_ms(self) -> int:
        """End of the last one."""
        return self.from_ms + self.windows * self.window_ms


@dataclass(frozen=True, slots=True)
class Grid:
    """What the windows of some series of one metric hold.

    Attributes:
        series: What is known of each, in the order of the rows.
        present: Whether there is anything, of shape (series, windows); so are `columns`, 0 where there is nothing.
        columns: Some of `NUMBERS`.
    """

    span: Span
    series: Sequence[HeldSeries]
    present: NDArray[np.bool_]
    columns: Mapping[str, Array]

    def hold(self, row: int, first: int, last: int) -> HeldSeries:
        """A series with the windows `[first, last)` held, those columns 0 that the grid does not have."""
        series, span = self.series[row], self.span
        for place in range(max(first, 0), last):
            start_ms = span.from_ms + place * span.window_ms
            if self.present[row, place] and start_ms not in series.combined:
                known = {name: column[row, place].item() for name, column in self.columns.items()}
                series.combined[start_ms] = _combined(known)
        return series


def _combined(known: dict[str, Any]) -> Combined:
    """A window, of which some columns are known."""
    return Combined(**{**_NOTHING, **known})


_NOTHING: dict[str, Any] = {name: 0.0 if kind == "f8" else 0 for name, kind in NUMBERS.items()}


def grid(
    span: Span,
    series: Sequence[HeldSeries],
    row: Integers,
    start_ms: Integers,
    ver: Integers,
    columns: Mapping[str, Array],
    part: Integers | None = None,
) -> Grid:
    """A grid of rows in any order; of a window that comes twice the greatest `ver` holds.

    Args:
        row: Of each row its place in `series`.
        start_ms: Of each row where its window starts, within the span.
        columns: Some of `NUMBERS`, as long as `row`.
        part: Of each row which part of its window it holds. Those of one window are put together in their order, as
            sums are elsewhere. None: it holds the whole.
    """
    place = row * span.windows + (start_ms - span.from_ms) // span.window_ms
    present = np.zeros(len(series) * span.windows, bool)
    present[place] = True
    if np.count_nonzero(present) < len(place):
        # In the order of their places, and there of their parts.
        kept = _newest(place, ver, part)
        place, columns = place[kept], {name: column[kept] for name, column in columns.items()}
    shape = (len(series), span.windows)
    filled: dict[str, Array] = {}
    for name, column in columns.items():
        cells = np.zeros(len(present), NUMBERS[name])
        cells[place] = column
        filled[name] = cells.reshape(shape)
    found = Grid(span, series, present.reshape(shape), filled)
    if part is not None:
        _put_together(found, place, columns)
    return found


def _newest(place: Integers, ver: Integers, part: Integers | None) -> Integers:
    """Of each part of each window the row of the greatest version."""
    order: Integers = np.lexsort((ver, place) if part is None else (ver, part, place))
    ends = np.diff(place[order], append=-1) != 0
    if part is not None:
        ends |= np.append(part[order][1:] != part[order][:-1], True)
    kept: Integers = order[ends]
    return kept


def _put_together(grid: Grid, place: Integers, columns: Mapping[str, Array]) -> None:
    """Windows of several parts: a few, as a worker leaves them that takes over from another."""
    places, counts = np.unique(place, return_counts=True)
    for one in places[counts > 1].tolist():
        rows = np.flatnonzero(place == one)
        parts = [
            Combined(**{**_NOTHING, **{name: column[at].item() for name, column in columns.items()}}) for at in rows
        ]
        whole = reduce(merge, parts)
        for name in columns:
            grid.columns[name].flat[one] = getattr(whole, name)
