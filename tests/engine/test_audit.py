"""When hours are audited, and what a difference is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.audit import Calendar, Hour, Mismatch, Side

HOUR_MS = 3_600_000
NOW_MS = 1_000_000 * HOUR_MS + 25 * 60_000
CALENDAR = Calendar(size_ms=HOUR_MS, grace_ms=600_000, kept_ms=48 * HOUR_MS)


def ago(hours: int) -> int:
    """Start of the hour so many hours before the present one."""
    return NOW_MS - NOW_MS % HOUR_MS - hours * HOUR_MS


def due(**given: object) -> list[Hour]:
    defaults: dict[str, object] = {"first_ms": ago(3), "audited": {}, "versions": {}, "touched": set()}
    return list(CALENDAR.due(["t", "u"], now_ms=NOW_MS, **{**defaults, **given}))  # type: ignore[arg-type]


def both(*hours: int) -> list[Hour]:
    return [Hour(topic, ago(one)) for one in hours for topic in ("t", "u")]


def test_hours_are_due_from_the_first_record_on_when_they_are_closed_and_the_grace_is_over() -> None:
    assert due() == both(3, 2, 1)
    assert due(first_ms=ago(2) + 5) == both(2, 1)
    later = Calendar(size_ms=HOUR_MS, grace_ms=26 * 60_000, kept_ms=48 * HOUR_MS)
    assert list(later.range(ago(3), NOW_MS)) == [ago(3), ago(2)]


def test_an_hour_of_which_something_may_be_gone_is_never_due() -> None:
    assert due(first_ms=0)[0].start_ms == ago(47)
    assert due(first_ms=0, touched={Hour("t", ago(48))})[0].start_ms == ago(47)


def test_an_hour_that_was_audited_is_due_again_when_its_version_grew_or_something_came() -> None:
    audited = dict.fromkeys(both(3, 2, 1), 10)
    assert due(audited=audited, versions={ago(3): 10, ago(2): 9}) == []
    assert due(audited=audited, versions={ago(2): 11}) == both(2)
    assert due(audited=audited, touched={Hour("u", ago(3))}) == [Hour("u", ago(3))]


def test_hours_before_the_first_record_are_due_when_something_came_or_changed() -> None:
    assert due(touched={Hour("t", ago(9))}) == [Hour("t", ago(9)), *both(3, 2, 1)]
    known = {Hour("t", ago(9)): 5}
    assert due(audited=known, versions={ago(9): 6}) == [Hour("t", ago(9)), *both(3, 2, 1)]
    assert due(audited=known) == both(3, 2, 1)


def test_what_touches_an_hour_that_is_still_open_waits() -> None:
    assert due(touched={Hour("t", ago(0)), Hour("t", ago(-1))}) == both(3, 2, 1)


@given(
    first=st.integers(0, 60),
    audited=st.dictionaries(st.tuples(st.sampled_from("tu"), st.integers(-2, 60)), st.integers(0, 3)),
    versions=st.dictionaries(st.integers(-2, 60), st.integers(0, 3)),
    touched=st.sets(st.tuples(st.sampled_from("tu"), st.integers(-2, 60))),
)
def test_after_everything_due_was_audited_nothing_is(
    first: int, audited: dict[tuple[str, int], int], versions: dict[int, int], touched: set[tuple[str, int]]
) -> None:
    known = {Hour(topic, ago(one)): ver for (topic, one), ver in audited.items()}
    now = {ago(one): ver for one, ver in versions.items()}
    came = {Hour(topic, ago(one)) for topic, one in touched}
    hours = due(first_ms=ago(first), audited=known, versions=now, touched=came)
    assert hours == sorted(set(hours), key=lambda hour: (hour.start_ms, hour.topic))
    assert all(ago(47) <= hour.start_ms <= ago(1) for hour in hours)
    done = known | {hour: now.get(hour.start_ms, 0) for hour in hours}
    assert due(first_ms=ago(first), audited=done, versions=now) == []


ONE = Side(2, 3.0, 5, 7, 9)


@pytest.mark.parametrize(
    ("rolled", "told"),
    [
        (ONE._replace(n=1), "1 of 2 values are missing in the rollups"),
        (ONE._replace(n=5), "3 values are in the rollups that raw rows do not hold (2)"),
        (ONE._replace(h_sum=6), "2 values on both sides, but of different records"),
        (ONE._replace(h_xor=6), "2 values on both sides, but of different records"),
        (ONE._replace(h_at=6), "values of 2 stand in other windows"),
        (ONE._replace(sum=3.5), "the sum of 2 values is 3.0 by raw rows and 3.5 in the rollups"),
    ],
)
def test_a_difference_is_told_in_words(rolled: Side, told: str) -> None:
    assert Mismatch("m", "s", 1, ONE, rolled).told() == told
