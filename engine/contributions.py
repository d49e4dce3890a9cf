"""Which dimensions are to blame: the part of what happened in which it is most unlike what was expected.

An expectation-based scan over subsets (D. B. Neill, Expectation-based scan statistics for monitoring spatial time
series, International Journal of Forecasting 25, 2009), with combinations of dimensions in the place of regions: the
score of a combination is the logarithm of how much likelier its amount is under a rate of its own than under the
expected one. A combination that is too wide thins what is unlike in it, one that is too narrow misses a part of it:
both score less.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_DIMENSIONS = 3
"""Of a combination. More tell a person nothing."""

MAX_LEAVES = 20_000
LEAST_SHARE = 0.05
_FLOOR = 0.01
"""Part of the mean that is expected everywhere at least: where nothing was expected, a little is no wonder."""

_TIE = 1e-9

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


class Leaf(NamedTuple):
    """The smallest parts that can be told apart.

    Attributes:
        labels: A value for each of the names, empty where there is none.
        now: What happened there, 0 or more.
        expected: What was to be expected, in the same unit.
    """

    labels: Sequence[str]
    now: float
    expected: float


class Contribution(NamedTuple):
    """A combination of dimensions.

    Attributes:
        share: Its part of the whole difference between what happened and what was expected; above 1 where the rest
            went the other way.
    """

    dimensions: dict[str, str]
    share: float
    now: float
    expected: float


def contributions(
    names: Sequence[str], leaves: Sequence[Leaf], *, direction: Literal["above", "below"] = "above", at_most: int = 3
) -> list[Contribution]:
    """The combinations that explain a difference, the one that does best first; none where nothing does.

    What one explains is taken out before the next is looked for. Of equal ones the one with fewer dimensions comes
    first, then the one whose names come first.

    Args:
        names: Of the dimensions. Those that have one value only tell nothing and are left out.
        leaves: The largest `MAX_LEAVES` are looked at.
        direction: Whether too much or too little happened.
    """
    kept = sorted(leaves, key=lambda leaf: -(leaf.now + leaf.expected))[:MAX_LEAVES]
    now, expected = _column(leaf.now for leaf in kept), _column(leaf.expected for leaf in kept)
    sign = 1.0 if direction == "above" else -1.0
    whole = sign * (now.sum() - expected.sum())
    if whole <= 0:
        return []
    columns = [[leaf.labels[place] for leaf in kept] for place in range(len(names))]
    codes = {
        name: np.unique(np.array(column, dtype=np.str_), return_inverse=True)[1]
        for name, column in zip(names, columns, strict=True)
        if len(set(column)) > 1
    }
    values = dict(zip(names, columns, strict=True))
    found: list[Contribution] = []
    left = np.ones(len(kept), np.bool_)
    floored = expected + _FLOOR * expected.mean()
    while len(found) < at_most and left.any():
        best = _best(codes, np.where(left, now, 0.0), np.where(left, floored, 0.0), sign)
        if best is None:
            break
        chosen, inside = best
        inside &= left
        share = float(sign * (now[inside].sum() - expected[inside].sum()) / whole)
        if share < LEAST_SHARE:
            break
        place = int(np.flatnonzero(inside)[0])
        dimensions = {name: values[name][place] for name in chosen}
        found.append(Contribution(dimensions, share, float(now[inside].sum()), float(expected[inside].sum())))
        left &= ~inside
    return found


def _column(values: Iterator[float]) -> _Floats:
    return np.array(list(values), np.float64)


def _best(
    codes: dict[str, _Ints], now: _Floats, expected: _Floats, sign: float
) -> tuple[tuple[str, ...], NDArray[np.bool_]] | None:
    """The combination of the highest score, and which leaves are in it."""
    best: tuple[float, tuple[str, ...], NDArray[np.bool_]] | None = None
    for size in range(min(MAX_DIMENSIONS, len(codes)) + 1):
        for chosen in combinations(codes, size):
            parts = _parts([codes[name] for name in chosen], len(now))
            scores = _scores(_sums(parts, now), _sums(parts, expected), sign)
            top = int(scores.argmax())
            if scores[top] > 0 and (best is None or scores[top] > best[0] * (1 + _TIE)):
                best = float(scores[top]), chosen, parts == top
    return None if best is None else best[1:]


def _parts(codes: Sequence[_Ints], leaves: int) -> _Ints:
    """A number for each combination of values that occurs."""
    parts = np.zeros(leaves, np.int64)
    for code in codes:
        parts = np.unique(parts * (int(code.max()) + 1) + code, return_inverse=True)[1]
    return parts


def _sums(parts: _Ints, amounts: _Floats) -> _Floats:
    return np.bincount(parts, amounts).astype(np.float64)


def _scores(now: _Floats, expected: _Floats, sign: float) -> _Floats:
    """How much likelier each amount is under a rate of its own; 0 where it went the other way."""
    both = (now > 0) & (expected > 0)
    # Not of their ratio, which may be more than a number can hold.
    logarithm = np.zeros_like(now)
    logarithm[both] = np.log(now[both]) - np.log(expected[both])
    scores: _Floats = np.where(sign * (now - expected) > 0, now * logarithm + expected - now, 0.0)
    return scores
