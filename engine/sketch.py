"""DDSketch: quantiles within 1 % relative error from counts in logarithmic buckets.

Bucket `i` holds the values in `(g^(i-1), g^i]`, g = 1.01 / 0.99 (Masson, Rim, Lee: DDSketch, VLDB 2019). Two sketches
merge by adding their counts.
"""

import math
from collections.abc import Mapping

RELATIVE_ACCURACY = 0.01
GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)
PER_LOG = 1.0 / math.log(GAMMA)
"""A value's bucket is the ceiling of its logarithm times this."""

Buckets = Mapping[int, int]


def bucket_of(value: float) -> int:
    """Index of the bucket of a value above zero."""
    return math.ceil(math.log(value) * PER_LOG)


def value_of(bucket: int) -> float:
    """The value that is at most 1 % away from every value of the bucket."""
    return 2.0 * GAMMA**bucket / (GAMMA + 1.0)


def quantile(q: float, zero: int, positive: Buckets, negative: Buckets) -> float | None:
    """The q-quantile, 0 <= q <= 1, of all counted values: that of rank floor(q * (n - 1)). None of none."""
    count = zero + sum(positive.values()) + sum(negative.values())
    if not count:
        return None
    rank = math.floor(q * (count - 1))
    for bucket in sorted(negative, reverse=True):
        rank -= negative[bucket]
        if rank < 0:
            return -value_of(bucket)
    rank -= zero
    if rank < 0:
        return 0.0
    for bucket in sorted(positive):
        rank -= positive[bucket]
        if rank < 0:
            break
    return value_of(bucket)
