"""Silences and maintenance: what holds when, also where clocks change."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine import silences as under_test
from engine.silences import Calendar, Silences
from schemas.control import Maintenance, Silence
from schemas.matchers import matches, parse_matcher

LABELS = {"alertname": "cpu-busy", "source": "web-1", "severity": "critical"}
HOUR_MS = 3_600_000


def silence(*matchers: str, name: str = "s", starts_ms: int = 0, ends_ms: int = HOUR_MS) -> Silence:
    return Silence(
        id=f"silence/{name}", version=1, at_ms=0, by="ada", comment="known",
        matchers=[parse_matcher(one) for one in matchers], starts_ms=starts_ms, ends_ms=ends_ms,
    )  # fmt: skip


def maintenance(**fields: Any) -> Maintenance:
    defaults: dict[str, Any] = {
        "id": "maintenance/backup", "version": 1, "at_ms": 0, "by": "ada", "comment": "the nightly backup",
        "matchers": [parse_matcher("source=web-1")], "first": "2026-01-01T02:30", "rrule": "FREQ=DAILY",
        "zone": "Europe/Berlin", "duration_ms": HOUR_MS,
    }  # fmt: skip
    return Maintenance(**{**defaults, **fields})


def utc_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(("at_ms", "holds"), [(-1, False), (0, True), (HOUR_MS - 1, True), (HOUR_MS, False)])
def test_a_silence_holds_from_its_start_until_its_end(at_ms: int, holds: bool) -> None:
    found = Silences([silence("source=web-1")]).suppressors(LABELS, at_ms)
    assert [one.id for one in found] == (["silence/s"] if holds else [])
    if holds:
        assert (found[0].by, found[0].comment, found[0].until_ms) == ("ada", "known", HOUR_MS)


def test_every_silence_that_matches_is_named_whether_or_not_it_can_be_looked_up() -> None:
    silences = Silences(
        [
            silence("source=web-1", "severity=critical", name="a"),
            silence('source=~"web-.*"', name="b"),
            silence('team=""', name="c"),
            silence("source=web-2", name="d"),
            silence("source=web-1", "severity=warning", name="e"),
        ]
    )
    assert {one.id for one in silences.suppressors(LABELS, 0)} == {"silence/a", "silence/b", "silence/c"}


PATTERNED = ['a=~"x|y"', 'a=~"x.*"', 'a=~"x?"', 'b=~".*y"', 'b=~"y.*"', 'c=~"|x"']
MATCHERS = st.lists(st.sampled_from(["a=x", 'a=""', "a!=x", 'a!~"x"', "b!=y", *PATTERNED]), min_size=1, max_size=4)


@given(
    st.lists(MATCHERS, max_size=8),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "y", "xy", "yx"])),
)
def test_silences_are_those_that_asking_each_of_them_gives(wanted: list[list[str]], labels: dict[str, str]) -> None:
    every = [silence(*matchers, name=str(place)) for place, matchers in enumerate(wanted)]
    found = [one.id for one in Silences(every).suppressors(labels, 0)]
    assert sorted(found) == [one.id for one in every if matches(one.matchers, labels)]


def test_of_many_silences_by_patterns_those_only_are_looked_at_whose_every_pattern_matches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silences = Silences(
        silence('alertname=~"cpu-.*"', f'source=~"(web|db)-{place}"', name=str(place)) for place in range(1_000)
    )
    counting = Mock(side_effect=matches)
    monkeypatch.setattr(under_test, "matches", counting)
    assert [one.id for one in silences.suppressors(LABELS, 0)] == ["silence/1"]
    assert counting.call_count == 1


@pytest.mark.parametrize(("ends_ms", "matchers"), [(-1, ["a=b"]), (32 * 24 * HOUR_MS, ["a=b"]), (HOUR_MS, [])])
def test_a_silence_has_an_end_and_something_that_it_is_about(ends_ms: int, matchers: list[str]) -> None:
    with pytest.raises(ValidationError):
        silence(*matchers, ends_ms=ends_ms)


@pytest.mark.parametrize(
    ("begin", "zone", "local"),
    [
        # A usual night, in winter and in summer.
        ("2026-01-15T01:30", "Europe/Berlin", "2026-01-01T02:30"),
        ("2026-07-15T00:30", "Europe/Berlin", "2026-01-01T02:30"),
        # 29 March: 2:30 does not exist, since 2:00 becomes 3:00; it begins an hour later by the clock, at 3:30.
        ("2026-03-29T01:30", "Europe/Berlin", "2026-01-01T02:30"),
        # 25 October: 2:30 there is twice; it begins at the first.
        ("2026-10-25T00:30", "Europe/Berlin", "2026-01-01T02:30"),
        # 8 March and 1 November in New York.
        ("2026-03-08T07:30", "America/New_York", "2026-01-01T02:30"),
        ("2026-11-01T05:30", "America/New_York", "2026-01-01T01:30"),
        # Lord Howe's clocks change by half an hour: 4 October, 2:00 becomes 2:30.
        ("2026-10-03T15:45", "Australia/Lord_Howe", "2026-01-01T02:15"),
    ],
)
def test_a_window_begins_at_its_local_time_and_lasts_as_long_as_it_says(begin: str, zone: str, local: str) -> None:
    calendar, begin_ms = Calendar(maintenance(zone=zone, first=local)), utc_ms(begin)
    asked = [begin_ms - 1, begin_ms, begin_ms + HOUR_MS - 1, begin_ms + HOUR_MS]
    assert [calendar.until_ms(at_ms) for at_ms in asked] == [None, begin_ms + HOUR_MS, begin_ms + HOUR_MS, None]


def test_a_window_over_a_change_of_clocks_lasts_for_elapsed_time() -> None:
    calendar = Calendar(maintenance(first="2026-03-28T22:00", rrule="", duration_ms=8 * HOUR_MS))
    assert calendar.until_ms(utc_ms("2026-03-28T21:00")) == utc_ms("2026-03-29T05:00")
    assert calendar.until_ms(utc_ms("2026-03-29T05:00")) is None


def test_windows_that_overlap_hold_until_the_last_of_them_ends() -> None:
    calendar = Calendar(maintenance(duration_ms=30 * HOUR_MS, zone="UTC"))
    assert calendar.until_ms(utc_ms("2026-01-02T03:00")) == utc_ms("2026-01-03T08:30")


def test_maintenance_that_is_switched_off_holds_nothing_back() -> None:
    at_ms = utc_ms("2026-01-15T02:00")
    assert Silences([maintenance()]).suppressors(LABELS, at_ms)
    assert not Silences([maintenance(enabled=False)]).suppressors(LABELS, at_ms)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"zone": "Mars/Olympus"}, "is no time zone"),
        ({"zone": "../../etc/passwd"}, "is no time zone"),
        ({"first": "tonight"}, "is no local time"),
        ({"first": "0001-01-01T02:00"}, "is no local time of 2000 to 2100"),
        ({"rrule": "FREQ=DAILY;INTERVAL=0"}, "INTERVAL is 1 to 1000"),
        ({"rrule": "FREQ=DAILY;INTERVAL=x"}, "INTERVAL is 1 to 1000"),
        ({"rrule": "FREQ=DAILY;COUNT=1\nRRULE:FREQ=SECONDLY"}, "one rule in one line"),
        ({"rrule": "FREQ=DAILY;COUNT=1\nEXRULE:FREQ=SECONDLY"}, "one rule in one line"),
        ({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "BYMONTHDAY is at most 28 here"),
        ({"rrule": "FREQ=MONTHLY;BYMONTHDAY=32"}, "BYMONTHDAY is at most 31 here"),
        ({"rrule": "FREQ=DAILY;INTERVAL=7;BYDAY=TU"}, "an INTERVAL above 1 goes with"),
        ({"rrule": "FREQ=MONTHLY;INTERVAL=12;BYMONTH=5"}, "an INTERVAL above 1 goes with"),
        ({"rrule": "FREQ=MONTHLY;BYDAY=6MO"}, "BYDAY counts weeks up to 5"),
        ({"rrule": "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1"}, "BYDAY counts no weeks beside BYMONTHDAY"),
        ({"rrule": "FREQ=DAILY;BYMONTH=13"}, "BYMONTH is 1 to 12"),
        ({"rrule": "FREQ=MONTHLY;BYMONTH=5,0"}, "BYMONTH is 1 to 12"),
        ({"rrule": "FREQ=MONTHLY;BYMONTHDAY=-0"}, "BYMONTHDAY is no 0"),
        ({"rrule": "FREQ=DAILY;COUNT=0"}, "COUNT is 1 or more"),
        ({"rrule": "FREQ=DAILY;COUNT=-1"}, "COUNT is 1 or more"),
        ({"rrule": "FREQ=DAILY;UNTIL=20270101T000000Z"}, "write it without Z"),
        ({"rrule": "FREQ=YEARLY;BYEASTER=0"}, "FREQ must be one of"),
        ({"first": "2026-01-01T02:00+01:00"}, "is no local time"),
        ({"rrule": "FREQ=SECONDLY"}, "FREQ must be one of"),
        ({"rrule": "FREQ=DAILY;BYMINUTE=0,1,2,3"}, "FREQ must be one of"),
        ({"rrule": "FREQ=WEEKLY;BYDAY=XX"}, "is no recurrence rule"),
        ({"rrule": "every sunday"}, "one rule in one line"),
        ({"duration_ms": 8 * 24 * HOUR_MS}, "less than or equal"),
        ({"comment": " "}, "at least 1 character"),
    ],
)
def test_maintenance_that_cannot_be_is_refused_with_a_reason(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        maintenance(**wrong)


ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"])
RULES = st.sampled_from(
    [
        "",
        "FREQ=DAILY",
        "FREQ=WEEKLY;BYDAY=SU,WE",
        "FREQ=MONTHLY;BYDAY=1SA",
        "FREQ=DAILY;INTERVAL=3;COUNT=40",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=YEARLY;BYMONTH=5;BYDAY=-1SU",
    ]
)


@given(ZONES, RULES, st.integers(1, 47), st.lists(st.integers(0, 366 * 24 * 4), min_size=1, max_size=20))
def test_windows_are_those_that_writing_all_of_them_down_gives(
    zone: str, rule: str, hours: int, quarters: list[int]
) -> None:
    one = maintenance(zone=zone, rrule=rule, first="2026-01-03T02:30", duration_ms=hours * HOUR_MS)
    first = datetime.fromisoformat(one.first)
    every = list(rrulestr(rule, dtstart=first).between(first, datetime(2027, 3, 1), inc=True)) if rule else [first]  # noqa: DTZ001
    begins = [begin.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for begin in every]
    calendar = Calendar(one)
    for quarter in quarters:
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * quarter)
        ends = [begin + timedelta(hours=hours) for begin in begins if begin <= at < begin + timedelta(hours=hours)]
        wanted = int(max(ends).timestamp() * 1000) if ends else None
        assert calendar.until_ms(int(at.timestamp() * 1000)) == wanted
