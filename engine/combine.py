"""What readers do with rollup rows: rows of one series are merged over segments, partitions and windows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce

from engine.sketch import quantile
from schemas.rollup_wire import Row

Identity = tuple[int, str, str, int, int]
"""Start of the window, topic, epoch, partition, segment: the order in which sums are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """Several rows as one."""

    n: int
    sum: float
    min: float
    max: float
    first: float
    first_ms: int
    last: float
    last_ms: int
    increase: float
    zero: int = 0
    positive: dict[int, int] = field(default_factory=dict)
    negative: dict[int, int] = field(default_factory=dict)

    def quantile(self, q: float) -> float | None:
        """The q-quantile within 1 %; None where nothing was counted into a sketch."""
        return quantile(q, self.zero, self.positive, self.negative)


def of_row(row: Row) -> Combined:
    """One row as it stands."""
    return Combined(
        n=row.n,
        sum=row.sum,
        min=row.min,
        max=row.max,
        first=row.first,
        first_ms=row.first_ms,
        last=row.last,
        last_ms=row.last_ms,
        increase=row.increase,
        zero=row.zero,
        positive=row.positive,
        negative=row.negative,
    )


def merge(one: Combined, other: Combined) -> Combined:
    """Two as one. The one whose first value is earlier comes first.

    A counter's growth between them is added; after a fall it counts from zero. Where they overlap in time, as two
    segments of one window may, the growth beyond the end of the earlier one is added instead.
    """
    if (other.first_ms, other.last_ms) < (one.first_ms, one.last_ms):
        one, other = other, one
    last = other if other.last_ms >= one.last_ms else one
    return Combined(
        n=one.n + other.n,
        sum=one.sum + other.sum,
        min=min(one.min, other.min),
        max=max(one.max, other.max),
        first=one.first,
        first_ms=one.first_ms,
        last=last.last,
        last_ms=last.last_ms,
        increase=_growth(one, other),
        zero=one.zero + other.zero,
        positive=_added(one.positive, other.positive),
        negative=_added(one.negative, other.negative),
    )


def merge_all(several: Sequence[Combined], *, sketched: bool = True) -> Combined | None:
    """Several, each merged into those before it. None of none.

    Those that follow one another in time, as windows of a series do, are added up without an object for each step.

    Args:
        sketched: Whether somebody asks for quantiles of it: sketches take most of the time.
    """
    if not several:
        return None
    whole = several[0]
    n, total, zero, increase, last, last_ms = whole.n, whole.sum, whole.zero, whole.increase, whole.last, whole.last_ms
    for one in several[1:]:
        if one.first_ms < last_ms:
            return reduce(merge, several)
        n += one.n
        total += one.sum
        zero += one.zero
        increase = increase + one.increase + _step(last, one.first)
        last, last_ms = one.last, one.last_ms
    return Combined(
        n=n,
        sum=total,
        min=min([one.min for one in several]),
        max=max([one.max for one in several]),
        first=whole.first,
        first_ms=whole.first_ms,
        last=last,
        last_ms=last_ms,
        increase=increase,
        zero=zero,
        positive=_added_all([one.positive for one in several]) if sketched else {},
        negative=_added_all([one.negative for one in several]) if sketched else {},
    )


def _growth(one: Combined, other: Combined) -> float:
    if other.first_ms >= one.last_ms:
        return one.increase + other.increase + _step(one.last, other.first)
    beyond = _step(one.last, other.last) if other.last_ms >= one.last_ms else 0.0
    return max(one.increase + beyond, other.increase)


def _step(before: float, after: float) -> float:
    """From one reading of a counter to the next."""
    return after - before if after >= before else after


def _added(one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    return _added_all((one, other)) if one and other else one or other


def _added_all(several: Iterable[dict[int, int]]) -> dict[int, int]:
    added: dict[int, int] = {}
    for one in several:
        for bucket, count in one.items():
            added[bucket] = added.get(bucket, 0) + count
    return added


def combine(rows: Iterable[tuple[Identity, Row]]) -> Combined | None:
    """Rows of one series as one, sums in the order of their identities. None of none."""
    whole: Combined | None = None
    for _, row in sorted(rows, key=lambda pair: pair[0]):
        whole = of_row(row) if whole is None else merge(whole, of_row(row))
    return whole
