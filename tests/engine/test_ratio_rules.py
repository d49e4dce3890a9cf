"""Ratio rules: a part of what happened, judged by what it is at least."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evaluator import Evaluator, EvaluatorConfig
from engine.parts import VersionedRule
from engine.rules import Reading, judge, read_ratio, wilson_lower_bound
from engine.transitions import summary
from engine.wording import worst_case_delay
from schemas.alerts import Outcome, Severity, State, Transition
from schemas.rollup_wire import Mark, Row, Rows
from schemas.rules import RatioRule

T = 1_000_000
ERRORS = RatioRule(
    id="errors", metric="requests", bad={"outcome": "error"}, group_by=("service",), warning=0.05, critical=0.5,
    good_windows=2,
)  # fmt: skip
TWO = ERRORS.model_copy(update={"metric": "failures", "bad": {}, "of": "requests"})
PATIENT = ERRORS.model_copy(update={"for_ms": 20_000})
OUTCOMES = ["error", "ok", "any"]
KindName = Literal["delta", "cumulative"]
Window = tuple[int, int] | None
"""How many requests of a window failed, and how many were fine; None: nothing is known of it."""


def rows(metric: str, start_ms: int, counts: Mapping[str, float], *, kind: KindName = "delta") -> Rows:
    """Of each outcome how often it happened."""
    zeros = "0" * 16
    found = [
        Row(
            f"{number:016x}", "web", {"service": "shop", "outcome": outcome}, kind, start_ms, 1, 1,
            count if kind == "delta" else 7.0, count, count, 7.0, start_ms, 7.0 + count, start_ms, count, zeros, zeros,
            0, {}, {},
        )
        for number, (outcome, count) in ((OUTCOMES.index(each[0]), each) for each in counts.items())
    ]  # fmt: skip
    return Rows("10s.v1", 10_000, metric, "in", "e", 0, 0, found)


def play(rule: RatioRule, windows: Sequence[Window], *, kind: KindName = "delta") -> list[Transition]:
    """The transitions of a timeline."""
    evaluator = Evaluator(EvaluatorConfig(inputs=frozenset({("in", 0)})))
    evaluator.apply_rules({rule.id: VersionedRule(1, rule)})
    found: list[Transition] = []
    for index, window in enumerate(windows):
        start_ms = T + index * 10_000
        if window is not None:
            failed, fine = window
            if rule.of is not None:
                evaluator.add_rows(rows(rule.metric, start_ms, {"any": failed}, kind=kind))
                evaluator.add_rows(rows(rule.of, start_ms, {"any": failed + fine}, kind=kind))
            else:
                counts = {"error": failed, "ok": fine} if failed else {"ok": fine}
                evaluator.add_rows(rows(rule.metric, start_ms, counts, kind=kind))
        evaluator.add_mark(Mark("in", "e", 0, start_ms + 10_000, 1))
        found += [one for done in evaluator.evaluate() for state in done.states for one in state.unsent]
    return found


def told(transitions: Sequence[Transition]) -> str:
    return " ".join(one.to_state + (f":{one.severity}" if one.to_state is State.FIRING else "") for one in transitions)


@pytest.mark.parametrize(
    ("rule", "windows", "expected"),
    [
        (ERRORS, [(0, 1000)] * 3, ""),
        (ERRORS, [(3, 1)], ""),
        (ERRORS, [(3, 1)] * 9, ""),
        (ERRORS, [(0, 0)] * 3, ""),
        (ERRORS, [(60, 940)], ""),
        (ERRORS, [(80, 920)], "pending firing:warning"),
        (ERRORS, [(900, 100)], "pending firing:critical"),
        (ERRORS, [(80, 920), (900, 100)], "pending firing:warning firing:critical"),
        (ERRORS, [(80, 920), (0, 1000), (0, 1000)], "pending firing:warning recovering ok"),
        (ERRORS, [(80, 920), (49, 951), (0, 1000)], "pending firing:warning recovering"),
        (ERRORS, [(80, 920), *[(0, 0)] * 9], "pending firing:warning"),
        (ERRORS, [(80, 920), *[(0, 3)] * 9], "pending firing:warning"),
        (ERRORS, [(80, 920), *[None] * 7], "pending firing:warning stale"),
        (ERRORS, [(80, 920), *[None] * 7, (0, 1000), (0, 1000)], "pending firing:warning stale recovering ok"),
        (PATIENT, [(80, 920), (80, 920), (0, 1000)], "pending ok"),
        (PATIENT, [(80, 920)] * 3, "pending firing:warning"),
        (ERRORS.model_copy(update={"at_least": 4}), [(4, 0)], "pending firing:critical"),
        (ERRORS.model_copy(update={"where": {"service": "other"}}), [(900, 100)], ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["delta", "cumulative"])
def test_states_follow_what_went_wrong(
    rule: RatioRule, windows: Sequence[Window], expected: str, kind: KindName
) -> None:
    assert told(play(rule, windows, kind=kind)) == expected


def test_what_went_wrong_may_have_a_metric_of_its_own() -> None:
    for windows in ([(80, 920), (0, 1000)], [(0, 0), (3, 1)], [(900, 100)]):
        assert told(play(TWO, windows)) == told(play(ERRORS, windows))


def test_a_transition_says_what_was_measured() -> None:
    (_, firing) = play(ERRORS, [(80, 920)])
    assert (firing.value, firing.threshold, firing.outcome) == (0.08, 0.05, Outcome.VALUE)
    assert firing.summary == "requests with outcome=error of requests 0.08 above warning 0.05 on shop"
    assert summary(TWO, {}, State.OK, Severity.WARNING, value=0.01, threshold=0.05) == (
        "failures of requests 0.01 is back from above 0.05 on everything"
    )
    assert worst_case_delay(ERRORS) == "fires at most 14 s after the threshold is crossed (14 s)"


@pytest.mark.parametrize(
    ("wrong", "whole", "confidence", "bound"),
    [
        # One of ten, two-sided 95 %: (0.0179, 0.4042) in the literature.
        (1, 10, 0.975, 0.0179),
        (0, 10, 0.975, 0.0),
        (10, 10, 0.975, 0.7225),
        (30, 1000, 0.95, 0.0223),
        (2, 20, 0.95, 0.0337),
        (2, 20, 0.5, 0.1),
    ],
)
def test_the_lower_bound_is_wilsons(wrong: float, whole: float, confidence: float, bound: float) -> None:
    assert wilson_lower_bound(wrong, whole, confidence=confidence) == pytest.approx(bound, abs=5e-5)


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.5, 0.9999), st.integers(2, 50))
def test_the_bound_lies_below_the_part_and_comes_closer_the_more_was_seen(
    whole: int, part: float, confidence: float, times: int
) -> None:
    wrong = part * whole
    bound = wilson_lower_bound(wrong, whole, confidence=confidence)
    assert 0 <= bound <= wrong / whole + 1e-9
    assert bound <= wilson_lower_bound(wrong * times, whole * times, confidence=confidence) + 1e-9


def test_what_cannot_be_is_an_error_and_what_is_told_too_early_is_not() -> None:
    def reading(bad: float, total: float) -> Reading:
        evaluator = Evaluator(EvaluatorConfig(inputs=frozenset({("in", 0)})))
        evaluator.apply_rules({"errors": VersionedRule(1, TWO)})
        evaluator.add_rows(rows("failures", T, {"any": bad}))
        evaluator.add_rows(rows("requests", T, {"any": total}))
        (found,) = evaluator._readings.of(TWO, T + 10_000).values()
        return found

    assert reading(math.inf, 10).outcome is Outcome.ERROR
    assert reading(-1, 10).outcome is Outcome.ERROR
    assert reading(12, 11) == reading(12, 12)
    assert reading(12, 12).value == 1.0
    assert read_ratio(TWO, [], []) == Reading(Outcome.NO_DATA)


def test_good_means_that_the_part_itself_is_back() -> None:
    assert judge(ERRORS, 0.0475, 0.01).good is True
    assert judge(ERRORS, 0.048, 0.01).good is False
    assert judge(ERRORS, 0.9, 0.04).severity is Severity.NONE


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"bad": {}}, "say what went wrong: give bad, or of, or both"),
        ({"bad": {}, "of": "requests"}, "say what went wrong"),
        ({"warning": 1.0, "critical": None}, "a threshold is a part"),
        ({"warning": None, "critical": -0.1}, "a threshold is a part"),
        ({"warning": 0.6}, "critical must lie above warning"),
        ({"warning": None, "critical": None}, "give warning, critical, or both"),
        ({"over": 15_000}, "over must be a multiple of 10s"),
        ({"breaches": 3, "windows": 2}, "breaches must not be more than windows"),
        ({"breaches": 2, "windows": 3, "for": "10s"}, "give for, or breaches and windows: not both"),
        ({"confidence": 1.0}, "less than or equal to 0.9999"),
        ({"at_least": 0}, "greater than or equal to 1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(changed: dict[str, object], told: str) -> None:
    given_ = {"id": "e", "metric": "requests", "bad": {"outcome": "error"}, "warning": 0.05, "critical": 0.5, **changed}
    with pytest.raises(ValueError, match=told):
        RatioRule.model_validate(given_)
