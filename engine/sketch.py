"""DDSketch: quantiles within 1 % relative error from counts in logarithmic buckets.

Bucket `i` holds the values in `(g^(i-1), g^i]`, g = 1.01 / 0.99 (Masson, Rim, Lee: DDSketch, VLDB 2019). Two sketches
merge by adding their counts.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

RELATIVE_ACCURACY = 0.01
GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)
PER_LOG = 1.0 / math.log(GAMMA)
"""A value's bucket is the ceiling of its logarithm times this."""

Buckets = Mapping[int, int]


def bucket_of(value: float) -> int:
    """Index of the bucket of a value above zero."""
    return int(buckets_of(np.array([value]))[0])


def buckets_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The same of many values."""
    return np.ceil(np.log(values) * PER_LOG).astype(np.int64)


def value_of(bucket: int) -> float:
    """The value that is at most 1 % away from every value of the bucket."""
    return 2.0 * GAMMA**bucket / (GAMMA + 1.0)


def quantile(q: float, zero: int, positive: Buckets, negative: Buckets) -> float | None:
    """The q-quantile, 0 <= q <= 1, of all counted values: that of rank floor(q * (n - 1)). None of none."""
    count = zero + sum(positive.values()) + sum(negative.values())
    if not count:
        return None
    rank = min(math.floor(q * (count - 1)), count - 1)
    for bucket in sorted(negative, reverse=True):
        rank -= negative[bucket]
        if rank < 0:
            return -value_of(bucket)
    rank -= zero
    if rank < 0:
        return 0.0
    ranked = iter(sorted(positive))
    bucket = next(ranked)
    while (rank := rank - positive[bucket]) >= 0:
        bucket = next(ranked)
    return value_of(bucket)
