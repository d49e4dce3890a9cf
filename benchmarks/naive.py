"""Detectors that anybody would write first, to hold others against. Scores of each level, from what came before it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from schemas.alerts import BUCKET_MS

DAY = 86_400_000 // BUCKET_MS

_Floats = NDArray[np.float64]


def _against_everything(levels: _Floats) -> _Floats:
    known = np.where(np.isnan(levels), 0.0, levels)
    count = np.cumsum(~np.isnan(levels))
    mean, square = np.cumsum(known) / np.maximum(count, 1), np.cumsum(known**2) / np.maximum(count, 1)
    return _z(levels, mean, np.sqrt(np.maximum(square - mean**2, 0.0)), count)


def _against_a_day(levels: _Floats) -> _Floats:
    # Around their mean, so that little is lost in the sums of squares.
    middle = float(np.nanmean(levels))
    known = np.where(np.isnan(levels), 0.0, levels - middle)
    ones = (~np.isnan(levels)).astype(np.float64)
    count, total, squares = (np.convolve(one, np.ones(DAY))[: len(levels)] for one in (ones, known, known**2))
    count = np.maximum(np.round(count), 1)
    mean = total / count
    return _z(levels, mean + middle, np.sqrt(np.maximum(squares / count - mean**2, 0.0)), np.cumsum(ones))


def _against_yesterday(levels: _Floats) -> _Floats:
    change = np.full(len(levels), np.nan)
    change[DAY:] = levels[DAY:] - levels[:-DAY]
    known = np.where(np.isnan(change), 0.0, change)
    count = np.cumsum(~np.isnan(change))
    return _z(change, np.zeros(len(levels)), np.sqrt(np.cumsum(known**2) / np.maximum(count, 1)), count)


def _z(values: _Floats, mean: _Floats, deviation: _Floats, count: _Floats | NDArray[np.int64]) -> _Floats:
    """Distances from what was known one bucket before, in deviations of then; NaN within the first day."""
    scores = np.full(len(values), np.nan)
    floor = 1e-9 * float(np.nanmax(np.abs(values), initial=1e-9))
    scores[1:] = np.abs(values[1:] - mean[:-1]) / np.maximum(deviation[:-1], floor)
    scores[1:][count[:-1] < DAY] = np.nan
    return scores


NAIVE: dict[str, Callable[[_Floats], _Floats]] = {
    "z-score of everything before": _against_everything,
    "z-score of the last day": _against_a_day,
    "seasonal naive": _against_yesterday,
}
