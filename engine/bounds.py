"""What rules find at every grid point of a stretch of the past, for all entities at once, as far as that is sure.

Sums are taken in another order here than where rules are evaluated, and of some aggregates only bounds are known. So
each finding has a margin: where both ends of it mean the same it is sure, elsewhere the rule itself looks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.grids import Array, Floats, Grid
from engine.held import Entity
from engine.rules import QUANTILES, selects
from schemas.rules import AbsenceRule, RatioRule, Rule, ThresholdRule
from schemas.samples import Kind

Skippable = ThresholdRule | RatioRule | AbsenceRule
"""Kinds whose findings are known for all entities at once."""

UNSURE, NOTHING, UNDEFINED, GOOD, BETWEEN, WARNING, CRITICAL = range(-1, 6)
"""What is found: nothing is known, there is no data, no value, and what a value means."""

TOLERANCE = 1e-9
"""Part of the size of what was added up that a sum may differ by: far more than it does."""

Found = NDArray[np.int8]
_COUNTED = ("n", "sum", "first", "last", "increase", "first_ms", "last_ms")
_COLUMNS = {"avg": ("n", "sum"), "sum": ("n", "sum"), "count": ("n",), "min": ("n", "min"), "max": ("n", "max"),
            "last": ("n", "last", "last_ms"), "change": ("n", "first", "last", "first_ms", "last_ms"),
            "rate": _COUNTED}  # fmt: skip


def is_skippable(rule: Rule) -> bool:
    """Whether its findings are known for all entities at once: of percentiles they are in no column."""
    return isinstance(rule, Skippable) and not (isinstance(rule, ThresholdRule) and rule.aggregate in QUANTILES)


def columns_of(rule: Skippable) -> tuple[str, ...]:
    """The columns that it looks at."""
    if isinstance(rule, AbsenceRule):
        return ("n",)
    return _COUNTED if isinstance(rule, RatioRule) else _COLUMNS[rule.aggregate]


def entities_of(rule: Skippable, grid: Grid, where: Mapping[str, str]) -> dict[Entity, list[int]]:
    """The rows of a grid that have these dimensions, by entity."""
    found: dict[Entity, list[int]] = {}
    for row, series in enumerate(grid.series):
        if selects(where, series.labels):
            found.setdefault(series.entity(rule.group_by), []).append(row)
    return found


def findings(rule: Skippable, grids: Mapping[str, Grid], entities: Sequence[Entity], windows: int) -> Found:
    """What a rule finds of each entity at the end of each window, of shape (entities, windows of the grids).

    Args:
        grids: By metric, all of one span.
        windows: How many windows the rule looks back over.
    """
    if isinstance(rule, RatioRule):
        return _of_ratio(rule, grids, entities, windows)
    over = _Over(rule, grids[rule.metric], rule.where, entities, windows)
    if isinstance(rule, AbsenceRule):
        return np.where(over.present, GOOD, NOTHING).astype(np.int8)
    low, high = _aggregated(rule, over)
    return _judged(rule, over.present, (low, high), (low, high))


@dataclass(slots=True)
class _Over:
    """Rows of a grid, those of each entity together, over the windows that a rule looks back over."""

    rule: Skippable
    grid: Grid
    where: Mapping[str, str]
    entities: Sequence[Entity]
    windows: int

    def of(self, name: str, reduce: np.ufunc = np.add, *, missing: float = 0.0, absolute: bool = False) -> Floats:
        """A column over the windows and the series of each entity; `missing` stands where there is nothing."""
        column = np.where(self.grid.present, self.grid.columns[name], missing)
        return self.together(rolled(np.abs(column) if absolute else column, self.windows, reduce), reduce, missing)

    def together(self, rows: Array, reduce: np.ufunc, missing: float) -> Floats:
        """The rows of each entity as one, those of entities without any `missing`."""
        known = entities_of(self.rule, self.grid, self.where)
        whole = np.full((len(self.entities), rows.shape[1]), missing)
        order = [row for entity in self.entities for row in known.get(entity, ())]
        if order:
            filled = [place for place, entity in enumerate(self.entities) if entity in known]
            starts = np.cumsum([0, *(len(known[self.entities[place]]) for place in filled)])[:-1]
            together = rows[order] if len(order) == len(filled) else reduce.reduceat(rows[order], starts, axis=0)
            whole[filled] = together
        return whole

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether there is anything."""
        seen = rolled(self.grid.present.astype(np.float64), self.windows, np.maximum)
        return self.together(seen, np.maximum, 0.0) > 0

    def counted(self) -> tuple[Floats, Floats]:
        """What was counted, as `engine.rules` counts it, and how large it is: at least, where counters fall.

        What a counter grew by between windows counts too. NaN where it is unsure: windows are missing in between.
        """
        grid, columns = self.grid, self.grid.columns
        is_counter = np.array([[one.kind is Kind.CUMULATIVE] for one in grid.series], bool).reshape(-1, 1)
        sizes = np.where(is_counter, columns["increase"], columns["sum"])
        sums, sizes = rolled(sizes, self.windows, np.add), rolled(np.abs(sizes), self.windows, np.add)
        if self.windows > 1:
            grown = np.zeros(grid.present.shape)
            last, first = columns["last"][:, :-1], columns["first"][:, 1:]
            grown[:, 1:] = np.where(first >= last, first - last, first)
            between = rolled(grown, self.windows - 1, np.add)
            seen = rolled(grid.present.astype(np.float64), self.windows, np.add)
            broken = is_counter & (seen > 0) & (seen < self.windows)
            sums = np.where(broken, np.nan, sums + np.where(is_counter, between, 0.0))
            sizes = sizes + np.where(is_counter, rolled(np.abs(columns["last"]), self.windows, np.maximum), 0.0)
        return self.together(sums, np.add, 0.0), self.together(sizes, np.add, 0.0)


def rolled(cells: Floats, windows: int, reduce: np.ufunc) -> Floats:
    """Of each window what it and those before it give together. The first ones have fewer before them.

    Powers of two are put together, so that nothing is subtracted again.
    """
    whole: Floats | None = None
    offset, size, power = 0, 1, cells
    while windows:
        if windows & 1:
            whole = power if whole is None else _with_before(whole, power, offset, reduce)
            offset += size
        windows >>= 1
        if windows:
            power = _with_before(power, power, size, reduce)
            size *= 2
    assert whole is not None
    return whole


def _with_before(cells: Floats, others: Floats, distance: int, reduce: np.ufunc) -> Floats:
    """Each cell with another one that lies so far before it."""
    whole = cells.copy()
    whole[:, distance:] = reduce(cells[:, distance:], others[:, :-distance])
    return whole


def _aggregated(rule: ThresholdRule, over: _Over) -> tuple[Floats, Floats]:
    """What its aggregate is at least and at most."""
    match rule.aggregate:
        case "avg":
            count = np.maximum(over.of("n"), 1)
            return _around(over.of("sum") / count, over.of("sum", absolute=True) / count)
        case "sum":
            return _around(over.of("sum"), over.of("sum", absolute=True))
        case "count":
            return _around(over.of("n"), over.of("n"))
        case "rate":
            counted, size = over.counted()
            return _around(counted / (rule.over_ms / 1000), size / (rule.over_ms / 1000))
        case "change":
            return _changes(over)
        case "last":
            low, high = _least(over, "last"), _most(over, "last")
        case name:
            low, high = (_least(over, name), _least(over, name)) if name == "min" else (_most(over, name),) * 2
    with np.errstate(invalid="ignore"):
        return low - TOLERANCE * np.abs(low), high + TOLERANCE * np.abs(high)


def _least(over: _Over, name: str) -> Floats:
    return over.of(name, np.minimum, missing=np.inf)


def _most(over: _Over, name: str) -> Floats:
    return over.of(name, np.maximum, missing=-np.inf)


def _around(value: Floats, size: Floats) -> tuple[Floats, Floats]:
    return value - TOLERANCE * size, value + TOLERANCE * size


def _changes(over: _Over) -> tuple[Floats, Floats]:
    """From the first value to the last of each series: what lies between the least and the most of either."""
    columns, present, windows = over.grid.columns, over.grid.present, over.windows

    def bound(name: str, reduce: np.ufunc, missing: float) -> Floats:
        known = rolled(np.where(present, columns[name], missing), windows, reduce)
        return np.where(np.isfinite(known), known, 0.0)

    least = bound("last", np.minimum, np.inf) - bound("first", np.maximum, -np.inf)
    most = bound("last", np.maximum, -np.inf) - bound("first", np.minimum, np.inf)
    low, high, size = (over.together(one, np.add, 0.0) for one in (least, most, np.abs(least) + np.abs(most)))
    return low - TOLERANCE * size, high + TOLERANCE * size


def _of_ratio(rule: RatioRule, grids: Mapping[str, Grid], entities: Sequence[Entity], windows: int) -> Found:
    total = _Over(rule, grids[rule.total], rule.where, entities, windows)
    (wrong, wrong_size), (whole, whole_size) = (
        one.counted() for one in (_Over(rule, grids[rule.metric], {**rule.where, **rule.bad}, entities, windows), total)
    )
    whole = np.maximum(whole, wrong)
    margin = TOLERANCE * (wrong_size + whole_size)
    with np.errstate(all="ignore"):
        part = wrong / whole
        surely = _wilson(part, whole, rule.confidence)
        found = _judged(rule, total.present, _around(surely, 1.0 + margin / whole), _around(part, 1.0 + margin / whole))
        found[total.present & (whole < rule.at_least)] = UNDEFINED
        unsure = (np.abs(whole - rule.at_least) <= margin) | (wrong < 0) | ~np.isfinite(wrong + whole)
    found[total.present & unsure] = UNSURE
    return found


def _wilson(part: Floats, whole: Floats, confidence: float) -> Floats:
    """See `engine.rules.wilson_lower_bound`."""
    z = NormalDist().inv_cdf(confidence)
    spread = z * np.sqrt(np.maximum(part * (1 - part), 0.0) / whole + (z / (2 * whole)) ** 2)
    return np.maximum(0.0, (part + z * z / (2 * whole) - spread) / (1 + z * z / whole))


def _judged(
    rule: ThresholdRule | RatioRule,
    present: NDArray[np.bool_],
    beyond: tuple[Floats, Floats],
    back: tuple[Floats, Floats],
) -> Found:
    """What values mean, see `engine.rules.judge`.

    Args:
        beyond: Least and most of what must lie beyond a threshold.
        back: Of what must have come back.
    """
    lowest = rule.warning if rule.warning is not None else rule.critical
    assert lowest is not None
    margin = rule.hysteresis * abs(lowest)
    above = rule.direction == "above"
    passes: Callable[[Any, float], Any] = np.greater if above else np.less
    returns: Callable[[Any, float], Any] = np.less_equal if above else np.greater_equal
    limit = lowest - margin if above else lowest + margin
    ends = []
    for value, returned in zip(beyond, back, strict=True):
        one = np.where(returns(returned, limit), GOOD, BETWEEN)
        for code, threshold in ((WARNING, rule.warning), (CRITICAL, rule.critical)):
            if threshold is not None:
                one = np.where(passes(value, threshold), code, one)
        ends.append(one)
    known = (ends[0] == ends[1]) & np.isfinite(beyond[0]) & np.isfinite(beyond[1])
    return np.where(present, np.where(known, ends[0], UNSURE), NOTHING).astype(np.int8)
