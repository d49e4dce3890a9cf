"""What a fold is told: where it begins, and what it is a function of."""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Self

from schemas.rollups import ROLLUP_10S


class Start(Enum):
    """How the log stands where the fold begins.

    FRESH: at the first record there ever was. WARM: at a commit, so D segments are read for ids and clock only.
    CUT: inside a segment, whose beginning is gone: nothing is folded before the next one begins.
    """

    FRESH = auto()
    WARM = auto()
    CUT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldConfig:
    """What the fold is a function of, beside the log. None of it may change under a rollup definition.

    Attributes:
        rollup: Name of the definition, which rows bear.
        ahead_bound_ms: Where ticks tell the clock, how far ahead of it a sender may be before its times are shifted
            back. Far more than `skew_bound_ms`: ticks are missing while their writer is being replaced, and what is
            sent meanwhile is ahead of the clock though every clock is right.
        max_rows: Rows of one segment; points of further series are folded into one series for each metric.
    """

    topic: str = ""
    partition: int = 0
    epoch: str = ""
    rollup: str = ROLLUP_10S
    window_ms: int = 10_000
    lateness_ms: int = 2_000
    segment_ms: int = 30_000
    horizon_segments: int = 2
    skew_bound_ms: int = 2_000
    ahead_bound_ms: int = 900_000
    max_rows: int = 200_000

    def at(self, topic: str, epoch: str, partition: int) -> Self:
        """The same for another input partition."""
        return replace(self, topic=topic, epoch=epoch, partition=partition)
