"""Segments of one input partition: where they begin, what they hold, and what may be committed."""

from array import array
from collections import deque
from collections.abc import Callable, Collection, Sequence

from engine.rows import OpenRows
from engine.shapes import Shape
from schemas.series import Series

MAX_REMEMBERED = 16
"""Windows of one shape whose rows are remembered: a stream has one or two at a time, a backfill any number."""


class Segment:
    """The rows of one segment.

    Args:
        start: Offset of its first record.
        max_rows: When there are so many rows, points of further series go to the series that `overflow` names.
    """

    __slots__ = ("_max_rows", "_overflow", "_windows", "index", "overflowed", "rows", "start")

    def __init__(self, index: int, start: int, *, max_rows: int, overflow: Callable[[Series], Series]) -> None:
        self.index = index
        self.start = start
        self.rows = OpenRows()
        self.overflowed: set[int] = set()
        """Slots of rows that stand for series which were not kept apart."""
        self._windows: dict[int, dict[int, int]] = {}
        self._max_rows = max_rows
        self._overflow = overflow

    def slot(self, start_ms: int, series: Series) -> int:
        """Where the row of a series and a window is, which is opened if there is none."""
        window = self._windows.setdefault(start_ms, {})
        slot = window.get(series.fingerprint)
        if slot is not None:
            return slot
        if len(self.rows) < self._max_rows:
            return self._opened(window, series, start_ms)
        other = self._overflow(series)
        slot = window.get(other.fingerprint)
        if slot is None:
            slot = self._opened(window, other, start_ms)
        self.overflowed.add(slot)
        return slot

    def _opened(self, window: dict[int, int], series: Series, start_ms: int) -> int:
        slot = window[series.fingerprint] = self.rows.open(series, start_ms)
        return slot

    def learn(self, shape: Shape, start_ms: int) -> "array[int]":
        """The rows of all samples of a shape that are not refused, in one window. The shape remembers them."""
        if shape.owner is not self:
            shape.owner, shape.slots = self, {}
        if len(shape.slots) >= MAX_REMEMBERED:
            shape.slots.clear()
        slots = array("q", [self.slot(start_ms, series) for series in shape.series if series is not None])
        shape.slots[start_ms] = slots
        return slots


class Ledger:
    """Which segments began where, and which are durable; so what may be committed.

    Args:
        horizon: D, how many segments before the oldest that is not durable must be read again for ids.
        committed: The offset that the fold started from, if it was a commit.
        durable: How many of the first segments need not become durable: they are only read for ids.
    """

    def __init__(self, *, horizon: int, committed: int | None, durable: int) -> None:
        self._horizon = horizon
        self._committed = -1 if committed is None else committed
        self._durable = durable
        self._starts: deque[tuple[int, int]] = deque()

    def begun(self, index: int, start: int) -> None:
        """A segment begins at an offset."""
        self._starts.append((index, start))

    def durable_below(self, index: int) -> int | None:
        """All final rows of segments below `index` are acknowledged. The offset to commit, None if it is no new one."""
        self._durable = max(self._durable, index)
        target = self._durable - self._horizon
        while self._starts and self._starts[0][0] < target:
            self._starts.popleft()
        if not self._starts or self._starts[0][0] != target or self._starts[0][1] <= self._committed:
            return None
        self._committed = self._starts[0][1]
        return self._committed


class Occurrences:
    """Hashes of the record ids that occurred in this and the previous D segments."""

    __slots__ = ("_current", "_earlier", "_recent")

    def __init__(self, horizon: int) -> None:
        self._earlier: deque[set[int]] = deque(maxlen=horizon)
        self._current: set[int] = set()
        self._recent: set[int] = set()

    def admit(self, hashes: Sequence[int]) -> Collection[int]:
        """Positions of the hashes that are new, each the first time that it stands there; all of them now occurred."""
        fresh = set(hashes)
        self._current |= fresh
        if len(fresh) == len(hashes) and self._recent.isdisjoint(fresh):
            self._recent |= fresh
            return range(len(hashes))
        positions = []
        for position, hashed in enumerate(hashes):
            if hashed not in self._recent:
                self._recent.add(hashed)
                positions.append(position)
        return positions

    def cut(self) -> None:
        """A new segment begins."""
        self._earlier.append(self._current)
        self._current = set()
        self._recent = set().union(*self._earlier)
