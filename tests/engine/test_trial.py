"""Rules on samples that are made up: what the production fold and evaluator say of them in virtual time."""

from collections.abc import Sequence

import pytest

from engine.trial import BEGIN_MS, Given, play
from schemas.alerts import State, Transition
from schemas.rules import AbsenceRule, Rule, ThresholdRule
from schemas.samples import MAX_SAMPLES

HOT = ThresholdRule(id="hot", metric="m", warning=50, aggregate="max", good_windows=1)
RATE = ThresholdRule(id="rate", metric="m", aggregate="rate", over_ms=20_000, warning=5)
GONE = AbsenceRule(id="gone", metric="m", after_ms=20_000, good_windows=1)


def given(values: Sequence[float | None], *, every_ms: int = 10_000, kind: str = "gauge") -> list[Given]:
    return [
        Given(number * every_ms, "web", "m", kind, {"zone": "a"}, value)
        for number, value in enumerate(values)
        if value is not None
    ]


def told(rules: Sequence[Rule], samples: Sequence[Given], until_ms: int) -> list[tuple[int, str, State]]:
    points = list(play(rules, samples, until_ms=until_ms))
    assert [at_ms for at_ms, _ in points] == list(range(10_000, until_ms + 1, 10_000))
    return [(at_ms, one.rule, one.to_state) for at_ms, found in points for one in found]


def test_a_sample_is_seen_by_the_first_grid_point_behind_it() -> None:
    assert told([HOT], given([1, 60, 1]), 40_000) == [
        (20_000, "hot", State.PENDING),
        (20_000, "hot", State.FIRING),
        (30_000, "hot", State.OK),
    ]


@pytest.mark.parametrize(("kind", "values"), [("cumulative", [0, 10, 20, 200, 210]), ("delta", [0, 10, 10, 180, 10])])
def test_counters_count_as_they_do_live(kind: str, values: Sequence[float]) -> None:
    found = told([RATE], given(values, kind=kind), 40_000)
    assert found == [(40_000, "rate", State.PENDING), (40_000, "rate", State.FIRING)]


def test_nothing_comes_for_a_while_and_then_again() -> None:
    assert told([GONE, HOT], given([1, None, None, None, 1]), 60_000) == [
        (30_000, "gone", State.FIRING),
        (50_000, "gone", State.OK),
    ]


@pytest.mark.parametrize(
    ("ahead_s", "seen"),
    [
        pytest.param(0, [(140_000, "hot")], id="right"),
        pytest.param(300, [(110_000, "gone"), (440_000, "hot")], id="ahead, and believed"),
        pytest.param(3_600, [(140_000, "hot")], id="too far ahead, and corrected"),
        pytest.param(-600, [(140_000, "hot")], id="behind, and corrected"),
    ],
)
def test_a_clock_that_jumps_is_believed_or_corrected(ahead_s: int, seen: list[tuple[int, str]]) -> None:
    """It jumps at 90 s; at 130 s it is hot."""
    values = [60.0 if number == 13 else 1.0 for number in range(20)]
    samples = [one._replace(ahead_ms=ahead_s * 1000) if one.at_ms >= 90_000 else one for one in given(values)]
    fired = [(at_ms, rule) for at_ms, rule, state in told([HOT, GONE], samples, 440_000) if state is State.FIRING]
    assert fired[: len(seen)] == seen


def test_samples_of_one_time_may_be_more_than_a_record_holds_and_need_no_order() -> None:
    samples = [Given(5_000, "web", "m", "gauge", {}, 1.0) for _ in range(MAX_SAMPLES)] + given([60])
    count = ThresholdRule(id="count", metric="m", aggregate="count", warning=MAX_SAMPLES)
    many = [*samples, Given(5_000, "web", "m", "gauge", {}, 2.0)]
    assert told([count], many, 10_000) == told([count], many[::-1], 10_000)
    assert [state for *_, state in told([count], many, 10_000)] == [State.PENDING, State.FIRING]


def test_every_rule_sees_its_own_metric() -> None:
    cold = ThresholdRule(id="cold", metric="n", direction="below", warning=0, aggregate="min", good_windows=1)
    samples = [
        *given([1, 60, 1]),
        Given(20_000, "web", "n", "gauge", {}, -1.0),
        Given(10_000, "web", "n", "gauge", {}, 1),
    ]
    fired = [(at_ms, rule) for at_ms, rule, state in told([HOT, cold], samples, 40_000) if state is State.FIRING]
    assert fired == [(20_000, "hot"), (30_000, "cold")]


def test_times_of_transitions_are_those_of_a_midnight() -> None:
    transitions: list[Transition] = [one for _, found in play([HOT], given([60]), until_ms=10_000) for one in found]
    assert {one.at_ms for one in transitions} == {BEGIN_MS + 10_000}
    assert BEGIN_MS % 86_400_000 == 0
