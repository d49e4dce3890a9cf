"""When a metric that moves steadily will reach a limit: a robust line, and how sure it is.

The slope is the median of those between all pairs of points, its interval the ranks that Kendall's statistic gives
(P. K. Sen, Estimates of the Regression Coefficient Based on Kendall's Tau, JASA 63, 1968). What was freed again later
does not count as filled, and each third of the history must move: so neither a saw-tooth nor a step, such as a backup
that writes and stops, is a trend.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from engine.combine import Combined
from engine.rules import Reading, rounded
from schemas.alerts import Outcome
from schemas.rules import ForecastRule

MAX_LEFT_S = 10 * 365 * 86_400.0
"""Never, as a number."""

MAX_POINTS = 60
LEAST_POINTS = 12
LEAST_SPAN = 0.9
CONFIDENCE = 0.95
LEAST_STEADY = 1 / 3
"""So much of the whole slope must each third have."""

_Floats = NDArray[np.float64]


def read_forecast(rule: ForecastRule, points: Sequence[tuple[float, float]], *, now_s: float, span_s: float) -> Reading:
    """Seconds until the limit is reached, and how many it may be at most.

    Args:
        points: Time in seconds, and value, in order.
        span_s: How far back the rule looks: of a shorter history nothing is said.
    """
    if not points:
        return Reading(Outcome.NO_DATA)
    times, values = np.array(points, np.float64).T
    if not np.isfinite(values).all():
        return Reading(Outcome.ERROR)
    if len(points) < LEAST_POINTS or now_s - times[0] < LEAST_SPAN * span_s:
        return Reading(Outcome.UNDEFINED)
    times, values = _thinned(times - now_s, values)
    sign = 1.0 if rule.toward == "above" else -1.0
    left = np.maximum.accumulate((sign * (rule.limit - values))[::-1])[::-1]
    slow, slope = _slopes(times, left)
    here = float(np.median(left - slope * times))
    if here <= 0:
        return Reading(Outcome.VALUE, 0.0, 0.0)
    if slope < 0 and not _moves_everywhere(times, left, slope):
        return Reading(Outcome.UNDEFINED)
    return Reading(Outcome.VALUE, rounded(_left_s(here, slope)), rounded(_left_s(here, slow)))


def _moves_everywhere(times: _Floats, left: _Floats, slope: float) -> bool:
    thirds = np.array_split(np.arange(len(times)), 3)
    return all(_slopes(times[part], left[part])[1] < LEAST_STEADY * slope for part in thirds)


def level(aggregate: str, window: Combined) -> float:
    """What a window gives."""
    return window.sum / window.n if aggregate == "avg" else float(getattr(window, aggregate))


def _left_s(here: float, slope: float) -> float:
    return min(MAX_LEFT_S, -here / slope) if slope < 0 else MAX_LEFT_S


def _thinned(times: _Floats, values: _Floats) -> tuple[_Floats, _Floats]:
    """At most so many points, each the median of those around it."""
    if len(times) <= MAX_POINTS:
        return times, values
    size = -(-len(times) // MAX_POINTS)
    # The newest count whole; of the oldest there may be some too few for a part.
    whole = len(times) // size * size
    return tuple(np.median(one[-whole:].reshape(-1, size), axis=1) for one in (times, values))  # type: ignore[return-value]


def _slopes(times: _Floats, values: _Floats) -> tuple[float, float]:
    """The slope that is nearest to none, as sure as `CONFIDENCE`, and the one in the middle; both of what is left."""
    first, second = np.triu_indices(len(times), k=1)
    slopes = np.sort((values[second] - values[first]) / (times[second] - times[first]))
    n, pairs = len(times), len(slopes)
    margin = NormalDist().inv_cdf(CONFIDENCE) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    upper = min(pairs - 1, math.ceil((pairs + margin) / 2))
    return float(slopes[upper]), float(np.median(slopes))
