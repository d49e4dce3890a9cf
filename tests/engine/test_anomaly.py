"""What a detector says of a series: levels that are made up, and how unusual the last one is."""

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.anomaly import MAX_SCORE, Aggregate, Detector, Score, Seasons, levels, reach_ms
from schemas.alerts import BUCKET_MS
from tests.engine.test_memory import FOLDS

DAY = 288
HOUR = 12
DAYS = 21
EVENT = 15 * DAY
"""When something happens, in buckets."""

Floats = NDArray[np.float64]
SEASONS = st.sampled_from(get_args(Seasons))


def noise(seed: int = 1, days: int = DAYS) -> Floats:
    """A load that comes and goes with the day."""
    at = np.arange(days * DAY)
    return 100 + 40 * np.sin(2 * np.pi * at / DAY) + np.random.default_rng(seed).normal(0, 3, len(at))


def scores(series: Floats, detector: Detector | None = None, *, per_day: float = 0.05) -> list[Score | None]:
    """One after the other."""
    one, found = detector or Detector(), []
    for place in range(len(series)):
        one.take(place * BUCKET_MS, series[place : place + 1])
        found.append(one.score(per_day))
    return found


def unusual(series: Floats, *, per_day: float = 0.05) -> list[int]:
    """Which buckets are beyond the margin, counted from the event."""
    return [
        place - EVENT for place, one in enumerate(scores(series, per_day=per_day)) if one is not None and one.value > 1
    ]


def changed(change: Callable[[Floats], object]) -> Floats:
    """A load to which something happens at the event."""
    series = noise()
    change(series[EVENT:])
    return series


def test_a_spike_is_unusual_while_it_lasts() -> None:
    def spike(after: Floats) -> None:
        after[:6] += 100

    assert unusual(changed(spike)) == list(range(6))


def test_another_level_is_unusual_until_it_is_the_usual_one() -> None:
    def shift(after: Floats) -> None:
        after += 100

    found = unusual(changed(shift))
    assert found[: 12 * HOUR] == list(range(12 * HOUR))
    assert found[-1] < 2 * DAY


def test_what_goes_on_for_hours_does_not_become_usual_meanwhile_however_little_is_known() -> None:
    series = noise(days=4)
    series[-10 * HOUR :] += 100
    assert unusual(series)[-10 * HOUR :] == [place - EVENT for place in range(4 * DAY - 10 * HOUR, 4 * DAY)]


def test_what_falls_to_nothing_is_unusual_at_hours_at_which_there_was_much() -> None:
    def restart(after: Floats) -> None:
        after[:DAY] = np.linspace(0, 10, DAY)

    found = unusual(changed(restart))
    assert found[0] == 0
    assert 0 < len(found) <= DAY


def test_a_quiet_hour_at_the_busiest_time_is_unusual_though_it_would_not_be_at_night() -> None:
    def quiet(after: Floats) -> None:
        after[DAY // 4 - 6 : DAY // 4 + 6] = 65

    found = unusual(changed(quiet))
    assert found == list(range(DAY // 4 - 6, DAY // 4 + 6))
    assert noise().min() < 65


def drift() -> Floats:
    return noise() + np.linspace(0, 60, DAYS * DAY)


def gap() -> Floats:
    series = noise()
    series[EVENT : EVENT + 2 * DAY] = np.nan
    return series


def weekends() -> Floats:
    return noise() * np.where(np.arange(DAYS * DAY) // DAY % 7 < 5, 1, 0.6)


@pytest.mark.parametrize("made", [noise, drift, gap, weekends])
def test_a_day_a_slow_drift_a_gap_and_weekends_that_are_known_are_usual(made: Callable[[], Floats]) -> None:
    assert [place for place in unusual(made(), per_day=0.01) if place > 0] == []


@pytest.mark.parametrize("per_hour", [0.1, 0.3, 1, 4])
def test_counts_that_are_mostly_zero_are_usual_and_many_of_them_are_not(per_hour: float) -> None:
    counts = np.random.default_rng(3).poisson(per_hour / HOUR, DAYS * DAY)
    counts[EVENT : EVENT + 3] = 30
    series = levels("avg", np.ones(len(counts), np.int64), counts.astype(np.float64), HOUR)
    found = [place for place in unusual(series, per_day=0.01) if place > -5 * DAY]
    assert set(range(-HOUR + 1, 3)) <= set(found)
    assert len(found) <= 2 * HOUR


def test_of_counts_that_are_hardly_ever_anything_no_more_false_alerts_come_than_of_others() -> None:
    found = 0
    for seed in range(10):
        counts = np.random.default_rng(seed).poisson(0.02, 30 * DAY).astype(np.float64)
        series = levels("avg", np.ones(30 * DAY, np.int64), counts, HOUR)
        found += len([place for place in unusual(series, per_day=0.05) if place > 0])
    assert found <= 10 * 15 * 0.05


@pytest.mark.parametrize(("days", "is_said"), [(4, False), (7, True)])
def test_of_one_value_before_nothing_follows(days: int, is_said: bool) -> None:
    series = noise(days=days)
    series[np.arange(len(series)) % (2 * HOUR) > 0] = np.nan
    assert any(scores(series)) is is_said


@given(st.integers(0, 2**32 - 1), SEASONS, st.integers(30, 34 * DAY), st.floats(0, 0.5), st.data())
@settings(deadline=None, max_examples=30)
def test_a_detector_that_is_made_anew_from_as_far_back_as_matters_says_the_same(
    seed: int, seasons: Seasons, size: int, missing: float, data: st.DataObject
) -> None:
    series = noise(seed, 34)[:size]
    random = np.random.default_rng(seed)
    series[random.random(size) < missing] = np.nan
    silent = int(random.integers(0, size))
    series[silent : silent + int(random.integers(0, 6 * DAY))] = np.nan
    whole, led = Detector(seasons), Detector(seasons)
    whole.take(0, series)
    place = 0
    while place < size:
        step = data.draw(st.sampled_from([1, 5, 400, 2_000]))
        some = series[place : place + step]
        if not np.isnan(some).all() or place + step >= size:
            led.take(place * BUCKET_MS, some)
        place += step
    anew, first = Detector(seasons), max(0, size - reach_ms(seasons) // BUCKET_MS)
    anew.take(first * BUCKET_MS, series[first:])
    assert whole.score(0.05) == led.score(0.05) == anew.score(0.05)
    assert whole.next_ms == led.next_ms == anew.next_ms == size * BUCKET_MS


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 1000), st.floats(-1000, 1000))
@settings(deadline=None, max_examples=30)
def test_neither_the_unit_nor_the_zero_of_a_series_matters(seed: int, unit: float, zero: float) -> None:
    series = noise(seed, 16)
    one, other = Detector(), Detector()
    one.take(0, series)
    other.take(0, unit * series + zero)
    first, second = one.score(0.05), other.score(0.05)
    assert first is not None
    assert second is not None
    assert second.value == pytest.approx(first.value, rel=1e-5, abs=1e-5)
    assert second.margin == pytest.approx(unit * first.margin, rel=1e-5)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(deadline=None, max_examples=30)
def test_above_and_below_are_the_same_upside_down_and_only_one_of_them_is_off(seed: int, up: bool) -> None:
    series = noise(seed, 16)
    series[-1] += 100 if up else -100
    above, below, mirrored = Detector(side="above"), Detector(side="below"), Detector(side="above")
    for detector, some in ((above, series), (below, series), (mirrored, -series)):
        detector.take(0, some)
    values = [one.value for detector in (above, below, mirrored) if (one := detector.score(0.05)) is not None]
    assert values[1] == values[2]
    assert min(values[0], values[1]) == 0
    assert (values[0] > 1) is up


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=2 * DAY), st.integers(0, 10**6))
@settings(deadline=None)
def test_within_two_days_nothing_is_said_whatever_comes(some: list[float], start: int) -> None:
    detector = Detector()
    detector.take(start * BUCKET_MS, np.array(some))
    assert detector.score(1.0) is None


@given(st.floats(-1e9, 1e9), st.floats(0.0001, 1))
@settings(deadline=None)
def test_what_is_always_the_same_is_never_unusual_and_anything_else_there_is_as_unusual_as_can_be(
    value: float, per_day: float
) -> None:
    detector = Detector()
    detector.take(0, np.full(15 * DAY, value))
    score = detector.score(per_day)
    assert score is not None
    assert score.value == 0
    detector.take(detector.next_ms, np.array([value + 1 + abs(value)]))
    after = detector.score(per_day)
    assert after is not None
    assert after.value == MAX_SCORE
    tolerant = detector.score(per_day, at_least=2 + 2 * abs(value))
    assert tolerant is not None
    assert tolerant.value < 1


def test_the_rarer_false_alerts_may_be_the_wider_the_margin_by_as_much_for_each_factor() -> None:
    detector = Detector()
    detector.take(0, noise())
    margins = [score.margin for budget in (0.1, 0.01, 0.001) if (score := detector.score(budget)) is not None]
    assert margins[0] < margins[1] < margins[2]
    assert margins[2] - margins[1] == pytest.approx(margins[1] - margins[0])


def test_where_nothing_goes_on_happening_no_more_false_alerts_come_than_were_stated() -> None:
    found = [place for seed in range(8) for place in unusual(noise(seed, 30), per_day=0.05) if place > 0]
    assert len(found) <= 8 * 15 * 0.05


def test_of_a_bucket_without_a_level_nothing_is_said_and_what_came_before_is_not_forgotten() -> None:
    detector = Detector()
    detector.take(0, noise())
    before = detector.score(0.05)
    detector.take(detector.next_ms, np.array([math.nan]))
    assert detector.score(0.05) is None
    detector.take(0, np.full(DAYS * DAY, 1e6))
    assert math.isnan(detector.level)
    detector.take(detector.next_ms + BUCKET_MS, noise()[2:3])
    after = detector.score(0.05)
    assert before is not None
    assert after is not None
    assert after.margin == pytest.approx(before.margin, rel=0.1)


@pytest.mark.parametrize("silent", [1, HOUR, DAY + 5, 4 * DAY])
def test_buckets_that_are_left_out_are_buckets_without_a_level(silent: int) -> None:
    whole, left_out = Detector(), Detector()
    series = noise()
    series[EVENT : EVENT + silent] = np.nan
    whole.take(0, series)
    left_out.take(0, series[:EVENT])
    left_out.take((EVENT + silent) * BUCKET_MS, series[EVENT + silent :])
    assert whole.score(0.05) == left_out.score(0.05)
    assert whole.score(0.05) is not None


def test_after_weeks_of_silence_a_series_is_a_new_one() -> None:
    detector = Detector()
    detector.take(0, noise())
    detector.take(detector.next_ms + 15 * DAY * BUCKET_MS, noise(days=2)[: DAY + HOUR])
    assert detector.score(0.05) is None


PARTS: dict[str, Callable[[list[float]], float]] = {"avg": sum, "min": min, "max": max}


@given(
    st.lists(st.lists(st.integers(-50, 50).map(float), max_size=3), min_size=3, max_size=40),
    st.sampled_from(get_args(Aggregate)),
    st.integers(1, 3),
)
def test_a_level_is_the_aggregate_of_what_the_last_buckets_hold(
    buckets: list[list[float]], aggregate: Aggregate, over: int
) -> None:
    counts = np.array([len(some) for some in buckets])
    values = np.array([PARTS[aggregate](some) if some else 0.0 for some in buckets])
    found = levels(aggregate, counts, values, over)
    assert len(found) == len(buckets) - over + 1
    for place, level in enumerate(found.tolist()):
        some = [value for each in buckets[place : place + over] for value in each]
        assert math.isnan(level) if not some else level == FOLDS[aggregate](some)
