"""Series in which nothing ever happens: noise of some kinds around a day, to see how often a detector errs in them."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.labelled import DAY_MS, OVER, Labelled
from engine.anomaly import levels
from schemas.alerts import BUCKET_MS

SEED = 20261126
KNOWN_DAYS = 14
JUDGED_DAYS = 30
_DAY = DAY_MS // BUCKET_MS
_SIZE = (KNOWN_DAYS + JUDGED_DAYS) * _DAY

_Floats = NDArray[np.float64]


def _slow(noise: np.random.Generator) -> _Floats:
    steps, now, found = noise.normal(0, 2, _SIZE), 0.0, np.empty(_SIZE)
    for place, one in enumerate(steps):
        now = 0.95 * now + one
        found[place] = now
    return found


_DAYS = np.arange(_SIZE) / _DAY
_DAYLIGHT = np.sin(2 * np.pi * _DAYS)
_LOAD = 100 + 40 * _DAYLIGHT
KINDS: dict[str, Callable[[np.random.Generator], _Floats]] = {
    "noise": lambda noise: _LOAD + noise.normal(0, 5, _SIZE),
    "noise that wanders": lambda noise: _LOAD + _slow(noise),
    "skewed noise": lambda noise: _LOAD * noise.lognormal(0, 0.5, _SIZE),
    "counts, 1.2 to 6.6 an hour": lambda noise: noise.poisson(0.325 - 0.225 * _DAYLIGHT).astype(np.float64),
    "counts, 1.2 an hour": lambda noise: noise.poisson(0.1, _SIZE).astype(np.float64),
    "quiet weekends": lambda noise: _LOAD * np.where(_DAYS % 7 < 5, 1, 0.5) + noise.normal(0, 5, _SIZE),
}


def made_up(kind: str, count: int) -> Iterator[Labelled]:
    """So many series of a kind; they are judged after as long as a detector looks back."""
    for number in range(count):
        noise = np.random.default_rng([SEED, list(KINDS).index(kind), number])
        values = np.pad(KINDS[kind](noise), (OVER - 1, 0))
        counts = np.pad(np.ones(_SIZE, np.int64), (OVER - 1, 0))
        yield Labelled(kind, 0, KNOWN_DAYS * DAY_MS, levels("avg", counts, values, OVER), [])
