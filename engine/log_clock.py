"""Where records stand in their log: what its clock showed, in which segment, how far back repeats are known.

The fold does the same on its way, in columns (`engine/fold.py`). Here it stands apart, for those who compare what came
of a log with the log: a property test holds the two together.
"""

from collections.abc import Iterable
from typing import NamedTuple

from engine.fold_config import FoldConfig

UNKNOWN = -1
"""The clock before the log has told any time."""


class Place(NamedTuple):
    """Where a record stands.

    Attributes:
        clock_ms: What the log's clock showed with it; `UNKNOWN` before it had told any time.
        segment: The first offset of its segment.
        horizon: The first offset of the segment D before: a record that came there or later is remembered.
        shift_ms: What is added to its times, since its sender's clock is wrong; 0 where it is right.
    """

    clock_ms: int
    segment: int
    horizon: int
    shift_ms: int


class LogClock:
    """Goes along one input partition.

    Args:
        config: What the fold of the partition is a function of.
        clock_ms: What the clock showed before the first record that will be given.
        starts: First offsets of the segment that is open there and of those before it, as far as they are known.
    """

    def __init__(self, config: FoldConfig, *, clock_ms: int = UNKNOWN, starts: Iterable[int] = ()) -> None:
        self._config = config
        self._clock_ms = clock_ms
        self._starts = list(starts)[-1 - config.horizon_segments :]

    def place(self, offset: int, *, sent_ms: int | None, told_ms: int = UNKNOWN, stamped: bool = False) -> Place:
        """The place of the next record.

        Args:
            offset: Greater than the one before.
            sent_ms: When it was sent, by its sender's clock; None of what is no record.
            told_ms: What it tells of the time: the broker's stamp, or a tick.
            stamped: Whether that was the broker's stamp.
        """
        config, before_ms = self._config, self._clock_ms
        self._clock_ms = max(before_ms, told_ms)
        if not self._starts or self._clock_ms // config.segment_ms != before_ms // config.segment_ms:
            self._starts = [*self._starts[-config.horizon_segments :], offset]
        skew_ms = 0 if sent_ms is None or self._clock_ms == UNKNOWN else self._clock_ms - sent_ms
        ahead_ms = config.skew_bound_ms if stamped else config.ahead_bound_ms
        skewed = skew_ms > config.skew_bound_ms or skew_ms < -ahead_ms
        return Place(self._clock_ms, self._starts[-1], self._starts[0], skew_ms if skewed else 0)
