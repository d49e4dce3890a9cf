"""What keeps alerts from being told: silences, and maintenance by the calendar. Time is an argument."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dateutil.rrule import rruleset, rrulestr

from schemas.control import Maintenance, Silence
from schemas.matchers import Matcher, Patterns, matches

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_MS = 3_600_000
_SHIFT = timedelta(hours=26)
"""More than clocks and zones can differ by."""


class Suppressor(NamedTuple):
    """What keeps an alert from being told.

    Attributes:
        until_ms: When it no longer does, if nothing is changed.
    """

    id: str
    by: str
    comment: str
    until_ms: int


class Calendar:
    """The windows of one maintenance."""

    def __init__(self, maintenance: Maintenance) -> None:
        self._zone = ZoneInfo(maintenance.zone)
        self._duration_ms = maintenance.duration_ms
        first = datetime.fromisoformat(maintenance.first)
        self._begins = rruleset(cache=True)
        if maintenance.rrule:
            self._begins.rrule(rrulestr(maintenance.rrule, dtstart=first))  # type: ignore[arg-type]
        else:
            self._begins.rdate(first)
        self._known = (0, 0, 0)
        """The answer of last time: from when, until when, and the end of the window, 0 if there is none."""

    def until_ms(self, at_ms: int) -> int | None:
        """The end of the window in which a time lies; None if it lies in none."""
        from_ms, to_ms, end_ms = self._known
        if not from_ms <= at_ms < to_ms:
            from_ms, to_ms, end_ms = self._known = self._around(at_ms)
        return end_ms or None

    def _around(self, at_ms: int) -> tuple[int, int, int]:
        """From when, until when nothing changes around a time, and the end of the window there."""
        at = (_EPOCH + timedelta(milliseconds=at_ms)).replace(tzinfo=None)
        duration = timedelta(milliseconds=self._duration_ms)
        near = self._begins.between(at - duration - _SHIFT, at + _SHIFT, inc=True)
        begins_ms = sorted({self._utc_ms(begin) for begin in near})
        ends_ms = [
            begin_ms + self._duration_ms for begin_ms in begins_ms if begin_ms <= at_ms < begin_ms + self._duration_ms
        ]
        changes_ms = [*begins_ms, *(begin_ms + self._duration_ms for begin_ms in begins_ms)]
        until_ms = min((one for one in changes_ms if one > at_ms), default=at_ms + 3_600_000)
        return at_ms, until_ms, max(ends_ms, default=0)

    def _utc_ms(self, local: datetime) -> int:
        """A local time that there is twice is the first; one that there is not is counted from before the change."""
        aware = local.replace(tzinfo=self._zone)
        return (aware.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)


class _Patterned:
    """Silences that demand patterns. Those whose every pattern a label matches are found, whatever else they demand."""

    def __init__(self, records: Sequence[Silence | Maintenance]) -> None:
        self._records = records
        self._demands = [_patterns(one.matchers) for one in records]
        self._by_name: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for place, demands in enumerate(self._demands):
            for name, text in demands:
                self._by_name[name][text].append(place)
        self._patterns = {name: Patterns(list(places)) for name, places in self._by_name.items()}

    def candidates(self, labels: Mapping[str, str]) -> list[Silence | Maintenance]:
        """Those that may hold, in the order in which they were given."""
        met: Counter[int] = Counter()
        for name, patterns in self._patterns.items():
            for text in patterns.of(labels.get(name, "")):
                met.update(self._by_name[name][text])
        return [self._records[place] for place in sorted(met) if met[place] == len(self._demands[place])]


class Silences:
    """Everything that suppresses. Asked for an alert it looks at those only that its labels may be about."""

    def __init__(self, records: Iterable[Silence | Maintenance]) -> None:
        self._calendars: dict[str, Calendar] = {}
        self._by_label: defaultdict[tuple[str, str], list[Silence | Maintenance]] = defaultdict(list)
        patterned: list[Silence | Maintenance] = []
        self._others: list[Silence | Maintenance] = []
        for record in sorted(records, key=lambda one: one.id):
            if isinstance(record, Maintenance):
                if not record.enabled:
                    continue
                self._calendars[record.id] = Calendar(record)
            if (key := _equal(record.matchers)) is not None:
                self._by_label[key].append(record)
            else:
                (patterned if _patterns(record.matchers) else self._others).append(record)
        self._patterned = _Patterned(patterned)

    def suppressors(self, labels: Mapping[str, str], at_ms: int) -> list[Suppressor]:
        """Those that hold for an alert with these labels at a time."""
        named = [one for label in labels.items() for one in self._by_label.get(label, ())]
        found = []
        for record in (*named, *self._patterned.candidates(labels), *self._others):
            over = isinstance(record, Silence) and not record.starts_ms <= at_ms < record.ends_ms
            until_ms = None if over or not matches(record.matchers, labels) else self._until_ms(record, at_ms)
            if until_ms is not None:
                found.append(Suppressor(record.id, record.by, record.comment, until_ms))
        return found

    def _until_ms(self, record: Silence | Maintenance, at_ms: int) -> int | None:
        return record.ends_ms if isinstance(record, Silence) else self._calendars[record.id].until_ms(at_ms)


def _equal(matchers: Iterable[Matcher]) -> tuple[str, str] | None:
    """A label that an alert must have, and its value."""
    return next(((one.name, one.value) for one in matchers if one.operator == "=" and one.value), None)


def _patterns(matchers: Iterable[Matcher]) -> set[tuple[str, str]]:
    """Labels, and the patterns that their values must match."""
    return {(one.name, one.value) for one in matchers if one.operator == "=~"}
