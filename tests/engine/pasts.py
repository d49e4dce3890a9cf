"""Made-up pasts of some series, as grids and as the rows that an evaluator is given."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from engine.grids import NUMBERS, Grid, Span, grid
from engine.held import HeldSeries
from schemas.rollup_wire import Row, Rows
from schemas.samples import Kind

BEGIN_MS = 1_700_000_000_000 // 60_000 * 60_000
WINDOW_MS = 60_000


class Series(NamedTuple):
    """A series: of each window its values, or nothing."""

    source: str
    dimensions: Mapping[str, str]
    kind: Kind
    windows: Sequence[Sequence[float]]


def row_of(number: int, series: Series, place: int) -> Row:
    """What a fold would make of the values of one window. A counter's values are its readings."""
    start_ms, values = BEGIN_MS + place * WINDOW_MS, series.windows[place]
    steps = [b - a if b >= a else b for a, b in pairwise(values)]
    about = (f"{number:016x}", series.source, dict(series.dimensions), series.kind.value, start_ms, place + 1)
    last_ms = start_ms + 1000 * (len(values) - 1)
    numbers = (len(values), sum(values), min(values), max(values), values[0], start_ms, values[-1], last_ms)
    fields: Any = (*about, *numbers, float(sum(steps)), "0" * 16, "0" * 16)
    return Row(*fields)


def rows_of(metric: str, several: Sequence[Series], place: int) -> Rows | None:
    """One window of all series, as the evaluator is given it."""
    rows = [row_of(number, one, place) for number, one in enumerate(several) if one.windows[place]]
    return Rows("1m.v1", WINDOW_MS, metric, "past", "", 0, 0, rows) if rows else None


def grid_of(several: Sequence[Series], first: int, last: int) -> Grid:
    """The windows `[first, last)` of all series; those before the first one are empty."""
    found = [
        (number, row_of(number, one, place))
        for number, one in enumerate(several)
        for place in range(max(first, 0), last)
        if one.windows[place]
    ]
    columns: dict[str, Any] = {
        name: np.array([getattr(row, name) for _, row in found], kind) for name, kind in NUMBERS.items()
    }
    labels = [HeldSeries(one.kind, {**one.dimensions, "source": one.source}, WINDOW_MS) for one in several]
    return grid(
        Span(BEGIN_MS + first * WINDOW_MS, last - first, WINDOW_MS),
        labels,
        np.array([number for number, _ in found], "i8"),
        np.array([row.start_ms for _, row in found], "i8"),
        np.array([row.ver for _, row in found], "i8"),
        columns,
    )
