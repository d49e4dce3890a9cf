"""How unlike itself a series is: how far from what is usual at this hour, in what is unusual for this very series.

Expected is the median of the levels around the same time of the days before. How far off is unusual comes from the
series' own past: of each hour of eleven days the largest distance is known, and those beyond their 70 % quantile are
taken as exponential beyond it: peaks over a threshold (J. Pickands, Statistical Inference Using Extreme Order
Statistics, Annals of Statistics 3, 1975), as A. Siffer et al. do for streams (Anomaly Detection in Streams with Extreme
Value Theory, KDD 2017), without their estimate of a shape, which so few excesses do not bear. So the margin is what a
series that goes on as before exceeds as often as was asked for: a number of false alerts per day, not of deviations.
A largest distance of each hour counts a disturbance once, however many buckets it lasts.

What is known of a series is a function of its levels within `reach_ms`: it is made anew from them at a start.
"""

import math
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.alerts import BUCKET_MS

Aggregate = Literal["avg", "min", "max"]
Side = Literal["above", "below", "both"]
Seasons = Literal["day", "week", "none"]

_HOUR = 12
_DAY = 24 * _HOUR
MARGIN_HOURS = 11 * 24
"""So many hours tell what is unusual."""

RECENT_HOURS = 12
"""The last of them do not: what goes on does not become usual meanwhile, and end its own alert."""

LEAST_HOURS = 24
"""Of fewer nothing is said."""

LEAST_REFERENCES = 3
QUANTILE = 0.7
MAX_SCORE = 100.0
"""Of what comes where never anything came."""

ROUNDING = 1e-9
"""A part of what is expected that is no distance."""

_Floats = NDArray[np.float64]


def _around(days: int, season: int) -> tuple[int, ...]:
    """An hour before and after the same time, each half hour."""
    return tuple(day * season + shift for day in range(1, days + 1) for shift in (-12, -6, 0, 6, 12))


REFERENCES: dict[Seasons, tuple[int, ...]] = {
    "day": _around(3, _DAY),
    "week": _around(2, 7 * _DAY),
    "none": tuple(range(3 * _HOUR, 3 * _DAY + 1, 3 * _HOUR)),
}
"""How many buckets ago what is compared lies."""


def reach_ms(seasons: Seasons) -> int:
    """How far back levels matter: those that the oldest distance that counts is the distance from."""
    return ((MARGIN_HOURS + 1) * _HOUR + max(REFERENCES[seasons])) * BUCKET_MS


def levels(aggregate: Aggregate, counts: NDArray[np.int64], values: _Floats, over: int) -> _Floats:
    """The aggregate over so many buckets up to each, NaN where there is nothing. It begins `over` - 1 buckets later.

    Args:
        values: Of each bucket the sum, the minimum or the maximum, whichever is asked for; 0 counts: it has none.
    """
    size = len(counts) - over + 1
    if aggregate == "avg":
        # One after the other, in the same order however many buckets there are: equal sums are equal to the last bit.
        total, number = np.zeros(size), np.zeros(size)
        for shift in range(over):
            total += values[shift : shift + size]
            number += counts[shift : shift + size]
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)
    known = np.where(counts > 0, values, np.nan)
    fold = np.fmin if aggregate == "min" else np.fmax
    return reduce(fold, (known[shift : shift + size] for shift in range(over)))


@dataclass(frozen=True, slots=True)
class Score:
    """What is said of one bucket.

    Attributes:
        value: The distance from what is expected, in margins; 0 where it lies on the side that is good.
        margin: The distance that is exceeded as often as was asked for.
    """

    value: float
    level: float
    expected: float
    margin: float


@dataclass(frozen=True, slots=True)
class _Tail:
    """Distances beyond `beyond`: so many a day, and so much further on average."""

    beyond: float
    mean_excess: float
    per_day: float

    def exceeded(self, per_day: float) -> float:
        """The distance that is exceeded so often."""
        return self.beyond + self.mean_excess * max(0.0, math.log(self.per_day / per_day))


class Detector:
    """What is known of one series. Levels come in order of time, one of each bucket."""

    def __init__(self, seasons: Seasons = "day", side: Side = "both") -> None:
        self._references = np.array(REFERENCES[seasons])
        self._side = side
        self._levels = np.full(max(REFERENCES[seasons]), np.nan)
        self._peaks = np.full(MARGIN_HOURS + 1, np.nan)
        self._next: int | None = None
        self._expected = self._distance = math.nan

    @property
    def next_ms(self) -> int:
        """The bucket after the last one that is known; 0: none is."""
        return (self._next or 0) * BUCKET_MS

    @property
    def level(self) -> float:
        """Of the last bucket; NaN: it has none."""
        return float(self._levels[-1])

    def take(self, start_ms: int, levels: _Floats) -> None:
        """Levels of buckets that follow each other, NaN where there is none. Those before `next_ms` are not changed.

        Args:
            start_ms: Of the first bucket.
        """
        first = start_ms // BUCKET_MS
        levels = levels[max(0, (self._next or first) - first) :]
        if not len(levels):
            return
        first = max(first, self._next or first)
        known = self._after_gap(first, levels)
        at = np.arange(len(self._levels), len(known))
        expected = _medians(known[at[:, None] - self._references])
        distances = self._sided(levels - expected)
        self._note(first, distances)
        self._levels, self._next = known[-len(self._levels) :], first + len(levels)
        self._expected, self._distance = float(expected[-1]), float(distances[-1])

    def score(self, false_per_day: float, at_least: float = 0.0) -> Score | None:
        """Of the last bucket; None while too little is known, or where it has no level.

        Args:
            false_per_day: How often a series that goes on as before may exceed the margin.
            at_least: No margin is smaller, in the unit of the series.
        """
        tail = self._tail
        if tail is None or math.isnan(self._distance):
            return None
        margin = max(tail.exceeded(false_per_day), at_least, ROUNDING * abs(self._expected))
        value = self._distance / margin if margin else MAX_SCORE * (self._distance > 0)
        return Score(min(value, MAX_SCORE), self.level, self._expected, margin)

    def _after_gap(self, first: int, levels: _Floats) -> _Floats:
        """Levels as far back as references lie, then the new ones."""
        reach, last = len(self._levels), self._next if self._next is not None else first
        silence = np.full(min(first - last, reach), np.nan)
        return np.concatenate((self._levels, silence, levels))[-(reach + len(levels)) :]

    def _sided(self, distances: _Floats) -> _Floats:
        if self._side == "both":
            return np.abs(distances)
        return np.maximum(distances if self._side == "above" else -distances, 0.0)

    def _note(self, first: int, distances: _Floats) -> None:
        """The largest distance of each hour; that of the newest hour, the last of them, is not complete."""
        hours = np.arange(first, first + len(distances)) // _HOUR
        passed = hours[-1] - ((self._next if self._next is not None else first + 1) - 1) // _HOUR
        if passed:
            self.__dict__.pop("_tail", None)
            kept = self._peaks[passed:]
            self._peaks = np.concatenate((kept, np.full(len(self._peaks) - len(kept), np.nan)))
        places = hours - hours[-1] + MARGIN_HOURS
        np.fmax.at(self._peaks, places[places >= 0], distances[places >= 0])

    @cached_property
    def _tail(self) -> _Tail | None:
        peaks = np.sort(self._peaks[: MARGIN_HOURS - RECENT_HOURS])
        count = len(peaks) - int(np.isnan(peaks).sum())
        if count < LEAST_HOURS:
            return None
        beyond = peaks[int(QUANTILE * count)]
        # Of counts many distances are equal: those that lie at the quantile are not beyond it.
        excesses = peaks[:count][peaks[:count] > beyond] - beyond
        mean = float(excesses.mean()) if len(excesses) else 0.0
        return _Tail(float(beyond), mean, 24 * max(len(excesses), 1) / count)


def _medians(rows: _Floats) -> _Floats:
    """Of each row the median of the numbers in it; NaN where there are too few."""
    rows = np.sort(rows, axis=1)
    count = rows.shape[1] - np.isnan(rows).sum(axis=1)
    place = np.arange(len(rows))
    middle = (rows[place, np.maximum(count - 1, 0) // 2] + rows[place, np.minimum(count // 2, rows.shape[1] - 1)]) / 2
    return np.where(count < LEAST_REFERENCES, np.nan, middle)
