"""Segments of one input partition: where they begin, what they hold, and what may be committed."""

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from engine.rows import Ints, OpenRows
from schemas.series import Series

MAX_TABLES = 16
"""Windows whose rows are found by a table: a stream has one or two at a time, a backfill any number."""

UNKNOWN = -1
REFUSED = -2


class Segment:
    """The rows of one segment.

    Args:
        start: Offset of its first record.
        max_rows: When there are so many rows, points of further series go to the series that `overflow` names.
    """

    __slots__ = ("_max_rows", "_overflow", "_series", "_tables", "_windows", "index", "overflowed", "rows", "start")

    def __init__(self, index: int, start: int, *, max_rows: int, overflow: Callable[[Series], Series]) -> None:
        self.index = index
        self.start = start
        self.rows = OpenRows()
        self.overflowed: set[int] = set()
        """Slots of rows that stand for series which were not kept apart."""
        self._windows: dict[int, dict[int, int]] = {}
        self._series: Sequence[Series | None] = ()
        self._tables: dict[int, Ints] = {}
        """By the start of a window, the slot of each of `_series` that is known."""
        self._max_rows = max_rows
        self._overflow = overflow

    def slots(self, starts_ms: Ints, places: Ints, series: Sequence[Series | None]) -> Ints:
        """Where the rows of points are, which are opened in the order of the points where there are none.

        Args:
            starts_ms: Of each point, the start of its window.
            places: Of each point, where its series stands in `series`.
            series: It may have grown since the last call.

        Returns:
            Of each point its slot; `REFUSED` where its series is None.
        """
        if series is not self._series:
            self._series, self._tables = series, {}
        windows = np.unique(starts_ms).tolist()
        if len(windows) > MAX_TABLES:
            return np.array(self._opened(starts_ms.tolist(), places.tolist()), np.int64)
        found = np.empty(len(places), np.int64)
        tables = [(starts_ms == start_ms, self._table(start_ms)) for start_ms in windows]
        firsts: list[int] = []
        for inside, table in tables:
            found[inside] = table[places[inside]]
            points = np.flatnonzero(inside & (found == UNKNOWN))
            firsts += points[np.unique(places[points], return_index=True)[1]].tolist()
        if firsts:
            firsts.sort()
            found[firsts] = self._opened(starts_ms[firsts].tolist(), places[firsts].tolist())
            for inside, table in tables:
                some = inside[firsts]
                table[places[firsts][some]] = found[firsts][some]
                found[inside] = table[places[inside]]
        return found

    def _opened(self, starts_ms: Sequence[int], places: Sequence[int]) -> list[int]:
        series = self._series
        return [self._slot(start_ms, series[place]) for start_ms, place in zip(starts_ms, places, strict=True)]

    def _table(self, start_ms: int) -> Ints:
        size, table = len(self._series), self._tables.get(start_ms)
        if table is None:
            if len(self._tables) >= MAX_TABLES:
                self._tables.clear()
            table = self._tables[start_ms] = np.full(size, UNKNOWN)
        elif len(table) < size:
            table = self._tables[start_ms] = np.concatenate([table, np.full(2 * size - len(table), UNKNOWN)])
        return table

    def _slot(self, start_ms: int, series: Series | None) -> int:
        if series is None:
            return REFUSED
        window = self._windows.setdefault(start_ms, {})
        slot = window.get(series.fingerprint)
        if slot is not None:
            return slot
        if len(self.rows) < self._max_rows:
            slot = window[series.fingerprint] = self.rows.open(series, start_ms)
            return slot
        other = self._overflow(series)
        slot = window.get(other.fingerprint)
        if slot is None:
            slot = window[other.fingerprint] = self.rows.open(other, start_ms)
        self.overflowed.add(slot)
        return slot


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
