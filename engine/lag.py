"""How far a reader of a log is behind its end, in records and in time, and when it will have caught up."""

import math
from collections import deque
from collections.abc import Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

Partition = TypeVar("Partition", bound=Hashable)

NEAR_S = 2.0
"""Who is no further behind has caught up: something is always on its way, and ticks come once a second."""

OVER_S = 5.0
"""Rates are taken over so long: from one second to the next they jump."""


class Place(NamedTuple):
    """Where one partition is read.

    Attributes:
        position: Offset of the next record.
        end: Offset that the log ended at when it was looked at last.
        clock_ms: The log's time at `position`; None while it has told none.
    """

    position: int
    end: int
    clock_ms: int | None


class Lag(NamedTuple):
    """How far behind a reader is.

    Attributes:
        records: That wait.
        seconds: Age of the newest record that was read, where others wait; None: not known.
        catch_up_s: Until nothing waits, at the rate of late; infinite where more comes than is read; None: not known
            yet.
    """

    records: int
    seconds: float | None
    catch_up_s: float | None


class Pace(Generic[Partition]):
    """Looks at a reader again and again.

    Args:
        over_s: How far back rates are taken from.
    """

    def __init__(self, *, over_s: float = OVER_S) -> None:
        self._over_s = over_s
        self._looks: deque[tuple[float, Mapping[Partition, Place]]] = deque()

    def look(self, at_s: float, now_ms: int, places: Mapping[Partition, Place]) -> Lag:
        """What is seen now.

        Args:
            at_s: Of a clock that never goes back.
            now_ms: Of the wall clock.
            places: By partition.
        """
        self._remember(at_s, places)
        waiting = [place for place in places.values() if place.end > place.position]
        records = sum(place.end - place.position for place in waiting)
        told = [place.clock_ms for place in waiting if place.clock_ms is not None]
        seconds = max(0.0, (now_ms - min(told)) / 1000) if told else None if waiting else 0.0
        if not records or (seconds is not None and seconds <= NEAR_S):
            return Lag(records, seconds, 0.0)
        return Lag(records, seconds, self._catch_up_s(records))

    def begin_anew(self) -> None:
        """Forgets what was seen: rates are taken from the next look on."""
        self._looks.clear()

    def _remember(self, at_s: float, places: Mapping[Partition, Place]) -> None:
        looks = self._looks
        while len(looks) > 1 and looks[1][0] <= at_s - self._over_s:
            looks.popleft()
        # Someone who was stopped, or begins to read anew, goes on at another rate than before.
        if looks and (at_s - looks[-1][0] > self._over_s or _went_back(looks[-1][1], places)):
            self.begin_anew()
        looks.append((at_s, places))

    def _catch_up_s(self, records: int) -> float | None:
        (first_s, before), (last_s, now) = self._looks[0], self._looks[-1]
        both = before.keys() & now.keys()
        if last_s <= first_s or not both:
            return None
        read = sum(now[one].position - before[one].position for one in both)
        came = sum(now[one].end - before[one].end for one in both)
        gained = read - came
        return records * (last_s - first_s) / gained if gained > 0 else math.inf


def _went_back(before: Mapping[Partition, Place], now: Mapping[Partition, Place]) -> bool:
    return any(now[one].position < before[one].position for one in before.keys() & now.keys())


def figures(lag: Lag) -> dict[str, float | int | bool | None]:
    """As a process shows it: numbers that JSON has."""
    known = lag.catch_up_s is not None and math.isfinite(lag.catch_up_s)
    return {
        "lag_records": lag.records,
        "lag_s": lag.seconds,
        "catch_up_s": lag.catch_up_s if known else None,
        "falling_behind": lag.catch_up_s == math.inf,
    }


def metric(value: float | None) -> float:
    """As a metric shows a part of it: what is not known is no number."""
    return math.nan if value is None else value
