"""How far behind a reader is, and when it will have caught up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lag import Lag, Pace, Place, figures, metric

NOW_MS = 1_790_000_000_000


def seen(*steps: tuple[int, int], behind_s: float = 60.0, every_s: float = 1.0) -> Lag:
    """After looks, one each second, at one partition: where it is read, where it ends."""
    pace, lag = Pace[str](), Lag(0, None, None)
    for second, (position, end) in enumerate(steps):
        now_ms = NOW_MS + int(second * every_s * 1000)
        place = Place(position, end, now_ms - int(behind_s * 1000))
        lag = pace.look(second * every_s, now_ms, {"p": place})
    return lag


def test_who_reads_more_than_comes_catches_up_in_what_waits_by_what_it_gains() -> None:
    assert seen((0, 1_000), (300, 1_100), (600, 1_200)) == Lag(600, 60.0, 3.0)


@pytest.mark.parametrize("end", [1_300, 1_500])
def test_who_reads_no_more_than_comes_never_does(end: int) -> None:
    assert seen((0, 1_000), (300, end)).catch_up_s == math.inf


def test_after_one_look_it_is_not_known() -> None:
    assert seen((0, 1_000)).catch_up_s is None


def test_who_waits_for_nothing_has_caught_up_whatever_the_clock_of_the_log_says() -> None:
    assert seen((10, 10), (20, 20), behind_s=3_600) == Lag(0, 0.0, 0.0)


def test_what_is_on_its_way_is_no_backlog() -> None:
    assert seen((0, 3), (3, 6), behind_s=1.5) == Lag(3, 1.5, 0.0)


def test_a_clock_that_is_ahead_of_ours_is_no_lag_below_zero() -> None:
    assert seen((0, 3), behind_s=-5.0) == Lag(3, 0.0, 0.0)


def test_what_was_before_the_time_that_rates_are_taken_over_counts_no_more() -> None:
    slow = [(second, 1_000) for second in range(20)]
    fast = [(20 + second * 100, 1_000) for second in range(7)]

    assert seen(*slow, *fast) == Lag(380, 60.0, 3.8)


def test_who_was_stopped_is_judged_by_what_it_does_since() -> None:
    pace = Pace[str]()
    pace.look(0.0, NOW_MS, {"p": Place(100, 100, NOW_MS)})
    late_ms = NOW_MS
    assert pace.look(30.0, NOW_MS + 30_000, {"p": Place(100, 3_100, late_ms)}) == Lag(3_000, 30.0, None)
    assert pace.look(31.0, NOW_MS + 31_000, {"p": Place(700, 3_200, late_ms)}) == Lag(2_500, 31.0, 5.0)


def test_who_begins_to_read_anew_is_judged_by_what_it_does_since() -> None:
    assert seen((900, 1_000), (100, 1_000)).catch_up_s is None
    assert seen((900, 1_000), (100, 1_000), (400, 1_000)).catch_up_s == 2.0


def test_partitions_that_came_or_went_count_for_what_waits_but_not_for_the_rate() -> None:
    pace = Pace[str]()
    pace.look(0.0, NOW_MS, {"a": Place(0, 100, NOW_MS - 9_000), "gone": Place(0, 5_000, None)})
    lag = pace.look(1.0, NOW_MS, {"a": Place(50, 100, NOW_MS - 9_000), "new": Place(0, 50, NOW_MS - 4_000)})

    assert lag == Lag(100, 9.0, 2.0)
    assert Pace[str]().look(0.0, NOW_MS, {}) == Lag(0, 0.0, 0.0)


def test_a_log_that_has_told_no_time_is_behind_for_nobody_knows_how_long() -> None:
    pace = Pace[str]()
    pace.look(0.0, NOW_MS, {"p": Place(0, 100, None)})
    assert pace.look(1.0, NOW_MS, {"p": Place(20, 100, None)}) == Lag(80, None, 4.0)
    assert pace.look(2.0, NOW_MS, {"q": Place(0, 100, None)}).catch_up_s is None


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=30))
def test_the_lag_is_what_lies_between_position_and_end(steps: list[tuple[int, int]]) -> None:
    pace, position, end = Pace[str](), 0, 0
    for second, (read, came) in enumerate(steps):
        end += came
        position = min(end, position + read)
        lag = pace.look(float(second), NOW_MS, {"p": Place(position, end, NOW_MS - 10_000)})
        assert lag.records == end - position
        assert (lag.catch_up_s == 0.0) == (position == end)


def test_figures_hold_only_what_json_has() -> None:
    assert figures(Lag(7, 9.5, math.inf)) == {
        "lag_records": 7,
        "lag_s": 9.5,
        "catch_up_s": None,
        "falling_behind": True,
    }
    assert figures(Lag(7, None, None)) == {
        "lag_records": 7,
        "lag_s": None,
        "catch_up_s": None,
        "falling_behind": False,
    }
    assert figures(Lag(7, 9.5, 3.0))["catch_up_s"] == 3.0
    assert math.isnan(metric(None))
    assert metric(3.0) == 3.0
