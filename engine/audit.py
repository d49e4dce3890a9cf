"""What the auditor decides: which hours are due, and what a difference between raw rows and rollup rows means."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Result(StrEnum):
    """What an audit of one hour of one topic said."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNJUDGED = "unjudged"


class Hour(NamedTuple):
    """What is audited together: a topic, and an hour (or what the settings put in its place)."""

    topic: str
    start_ms: int


class Side(NamedTuple):
    """What raw rows, or rollup rows, hold of one series.

    Attributes:
        h_at: The sum of hash times number of the window, modulo 2^64: tells windows apart that the other two do not.
    """

    n: int
    sum: float
    h_sum: int
    h_xor: int
    h_at: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One series whose two sides differ. `series` is 0 where it is not known, or stands for all of a metric."""

    metric: str
    source: str
    series: int
    raw: Side
    rolled: Side

    def told(self) -> str:
        """What is wrong, in words."""
        missing = self.raw.n - self.rolled.n
        if missing > 0:
            return f"{missing} of {self.raw.n} values are missing in the rollups"
        if missing < 0:
            return f"{-missing} values are in the rollups that raw rows do not hold ({self.raw.n})"
        if (self.raw.h_sum, self.raw.h_xor) != (self.rolled.h_sum, self.rolled.h_xor):
            return f"{self.raw.n} values on both sides, but of different records"
        if self.raw.h_at != self.rolled.h_at:
            return f"values of {self.raw.n} stand in other windows"
        return f"the sum of {self.raw.n} values is {self.raw.sum!r} by raw rows and {self.rolled.sum!r} in the rollups"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Which hours can be audited.

    Attributes:
        size_ms: Length of an hour; settings may shorten it.
        grace_ms: How long after its end an hour is left alone, so that late records come first.
        kept_ms: Raw rows and rollup rows are whole for so long.
    """

    size_ms: int
    grace_ms: int
    kept_ms: int

    def start_of(self, at_ms: int) -> int:
        """Start of the hour that holds a time."""
        return at_ms - at_ms % self.size_ms

    def range(self, first_ms: int, now_ms: int) -> range:
        """Starts of the hours that are closed and whole, from the one that holds `first_ms` on."""
        oldest_ms = self.start_of(now_ms - self.kept_ms) + self.size_ms
        return range(max(self.start_of(first_ms), oldest_ms), self.start_of(now_ms - self.grace_ms), self.size_ms)

    def due(
        self,
        topics: Collection[str],
        *,
        first_ms: int,
        now_ms: int,
        audited: Mapping[Hour, int],
        versions: Mapping[int, int],
        touched: Collection[Hour],
    ) -> Iterator[Hour]:
        """Hours to audit, the oldest first: never audited, or changed since.

        Args:
            topics: All that are audited.
            first_ms: Time of the first record.
            now_ms: The present time.
            audited: Hours that were, and the version that their rollups had then.
            versions: The version that the rollups of an hour have now: the sum of `ver` of its rows, which grows with
                every row that is added or replaced.
            touched: Hours of which records came since the last look. They may lie before the first record.
        """
        closed, whole = self.range(first_ms, now_ms), self.range(0, now_ms)
        others = {hour.start_ms for hour in (*touched, *audited) if hour.start_ms in whole}
        for start_ms in sorted({*closed, *others}):
            for topic in topics:
                hour = Hour(topic, start_ms)
                known = audited.get(hour)
                changed = start_ms in closed if known is None else versions.get(start_ms, 0) > known
                if changed or hour in touched:
                    yield hour
