"""Segments of one input partition: where they begin, what they hold, and what may be committed."""

from collections import deque

from engine.rows import OpenRow

Window = dict[int, OpenRow]
"""Rows of one window by the fingerprint of their series."""


class Segment:
    """The rows of one segment, and which of them changed since they were published."""

    __slots__ = ("dirty", "index", "rows", "start", "windows")

    def __init__(self, index: int, start: int) -> None:
        self.index = index
        self.start = start
        self.windows: dict[int, Window] = {}
        self.dirty: dict[int, list[OpenRow]] = {}
        self.rows = 0


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

    __slots__ = ("_earlier", "current", "recent")

    def __init__(self, horizon: int) -> None:
        self._earlier: deque[set[int]] = deque(maxlen=horizon)
        self.current: set[int] = set()
        self.recent: set[int] = set()

    def cut(self) -> None:
        """A new segment begins."""
        self._earlier.append(self.current)
        self.current = set()
        self.recent = set().union(*self._earlier)
