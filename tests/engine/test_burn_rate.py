"""Rules on error budgets: how fast they burn, over a long window and a short one."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from engine.burn_rate import Counted, read_burn_rate
from engine.rules import wilson_lower_bound
from engine.trial import Given, play
from engine.wording import condition, worst_case_delay
from schemas.alerts import Outcome, Severity
from schemas.burn_rate import BurnRateRule
from schemas.rollup_wire import Row, Rows
from schemas.rules import Rule
from tests.engine.timelines import mark, of_rule

RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
HOUR_S = 3_600
FAST = {"factor": 14.4, "long": "1h", "short": "5m", "severity": "critical"}
Curve = Callable[[int], tuple[float, float] | None]
"""Failures and requests of ten seconds, at a second; None: no sample."""


def rule(**fields: Any) -> BurnRateRule:
    about = {"id": "r", "kind": "burn_rate", "metric": "requests", "bad": {"outcome": "error"}, "objective": 0.99}
    made = RULE.validate_python({**about, "good_windows": 2, **fields})
    assert isinstance(made, BurnRateRule)
    return made


def told(one: Rule, curve: Curve, *, minutes: int, kind: str = "delta") -> list[str]:
    """What is told: state, severity and minute, in order."""
    given_: list[Given] = []
    grown = {"error": 0.0, "ok": 0.0}
    for at_s in range(0, minutes * 60, 10):
        if (counts := curve(at_s)) is None:
            continue
        wrong, whole = counts
        for outcome, value in (("error", wrong), ("ok", whole - wrong)):
            grown[outcome] = grown[outcome] + value if kind == "cumulative" else value
            given_.append(Given(at_s * 1000, "shop", "requests", kind, {"outcome": outcome}, grown[outcome]))
    return [
        f"{change.to_state}:{change.severity} {at_ms / 60_000:g}"
        for at_ms, transitions in play([one], given_, until_ms=minutes * 60_000)
        for change in transitions
        if change.to_state in {"firing", "ok"}
    ]


def failing(part: float, from_s: int, to_s: int) -> Curve:
    return lambda at_s: (100 * part if from_s <= at_s < to_s else 0.0, 100.0)


@pytest.mark.parametrize("kind", ["delta", "cumulative"])
def test_a_budget_that_burns_fast_is_critical_once_two_percent_of_a_month_are_gone_and_over_soon_after(
    kind: str,
) -> None:
    # Half of all requests fail: fifty times the budget of 1 %. Of an hour 14.4 times are gone after 17.3 minutes.
    changes = told(rule(), failing(0.5, 7200, 9000), minutes=180, kind=kind)
    assert changes == ["firing:critical 139", "ok:critical 155"]


def test_a_short_burst_and_a_budget_that_is_kept_raise_nothing() -> None:
    assert told(rule(), failing(0.5, 7200, 7500), minutes=180) == []
    assert told(rule(), failing(0.005, 0, 10_800), minutes=180) == []


def test_what_creeps_is_a_warning_after_hours() -> None:
    slow = {"factor": 1, "long": "6h", "short": "30m", "severity": "warning"}
    changes = told(rule(burns=[FAST, slow]), failing(0.03, 0, 99_999), minutes=8 * 60)
    assert [one.split()[0] for one in changes] == ["firing:warning"]
    assert 110 < float(changes[0].split()[1]) < 180


def test_of_time_that_nobody_saw_nothing_is_taken_to_have_gone_wrong() -> None:
    # From the first minute on everything fails: a hundred times the budget. That is 14.4 of an hour after 8.6 minutes.
    (change,) = told(rule(), failing(1.0, 0, 99_999), minutes=30)
    assert 8 < float(change.split()[1]) < 12


def test_little_traffic_is_no_reason_to_wake_somebody() -> None:
    quiet: Curve = lambda at_s: (1.0, 1.0) if at_s % 600 == 0 else (0.0, 0.0)  # noqa: E731
    assert told(rule(), quiet, minutes=60) == []
    assert told(rule(at_least=1), quiet, minutes=60) != []


def test_a_service_without_traffic_says_nothing_and_later_as_much_as_any_other() -> None:
    idle: Curve = lambda at_s: (0.0, 0.0) if at_s < 3600 else (50.0, 100.0)  # noqa: E731
    (change,) = told(rule(burns=[FAST]), idle, minutes=90)
    assert change == "firing:critical 79"


def test_what_is_remembered_of_a_counter_is_its_growth_and_that_between_windows_counts_once() -> None:
    one, zeros = rule(bad={"zone": "a"}, metric="m", of="m"), "0" * 16
    evaluator, chunks = of_rule(one), []
    for number in range(100):
        start_ms, first, last = number * 10_000, number * 10.0, number * 10.0 + 8
        row = Row(
            zeros, "web", {"zone": "a"}, "cumulative", start_ms, 1, 2, first + last, first, last, first, start_ms,
            last, start_ms + 5_000, 8.0, zeros, zeros, 0, {10: 2}, {},
        )  # fmt: skip
        evaluator.add_rows(Rows("10s.v1", 10_000, "m", "in", "e", 0, 0, [row]))
        evaluator.add_mark(mark(start_ms + 10_000))
        chunks += [chunk for evaluation in evaluator.evaluate() for chunk in evaluation.memory]
    assert [(one.start_ms, one.value, one.whole) for one in chunks[-1].buckets] == [
        (0, 298.0, 298.0), (300_000, 300.0, 300.0), (600_000, 300.0, 300.0)
    ]  # fmt: skip


def test_what_nobody_sends_any_more_is_silent_and_goes_on_as_it_stood() -> None:
    gone: Curve = lambda at_s: (100.0, 100.0) if not 1800 <= at_s < 2700 else None  # noqa: E731
    assert told(rule(burns=[FAST]), gone, minutes=60) == ["firing:critical 10", "firing:critical 46"]


def test_a_rule_says_what_it_is_and_how_late_it_may_speak() -> None:
    one = rule()
    assert condition(one) == (
        "speed at which requests with outcome=error of requests burns the budget of 0.99 over 300 s"
        " above warning 1, critical 6"
    )
    assert worst_case_delay(one).startswith("fires at most 354 s after the threshold is crossed")


def test_what_was_counted_wrongly_is_an_error_and_too_little_is_undefined() -> None:
    one = rule(burns=[FAST])
    spans = {3_600_000: Counted(1, 100, 1.0), 300_000: Counted(1, 9, 1.0)}
    assert read_burn_rate(one, spans).outcome is Outcome.UNDEFINED
    assert read_burn_rate(one, spans | {300_000: Counted(-1, 9, 1.0)}).outcome is Outcome.ERROR
    assert read_burn_rate(one, spans | {300_000: Counted(1, float("inf"), 1.0)}).outcome is Outcome.ERROR


def test_more_failures_than_requests_are_as_many() -> None:
    one = rule(burns=[FAST])
    reading = read_burn_rate(one, {3_600_000: Counted(200, 100, 1.0), 300_000: Counted(50, 20, 1.0)})
    assert reading.value == 100
    assert reading.judged is not None
    assert reading.judged.severity is Severity.CRITICAL


@given(st.integers(0, 1000), st.integers(10, 1000), st.floats(0.01, 1))
def test_it_fires_only_where_both_windows_surely_burn_faster_than_the_factor(
    wrong: int, whole: int, known: float
) -> None:
    one, wrong = rule(burns=[FAST]), min(wrong, whole)
    counted = {3_600_000: Counted(wrong, whole, known), 300_000: Counted(whole, whole, 1.0)}
    judged = read_burn_rate(one, counted).judged
    least = wilson_lower_bound(wrong, whole, confidence=0.95) * known / 0.01
    assert judged is not None
    assert (judged.severity is Severity.CRITICAL) is (least > 14.4)
    assert not (judged.good and judged.severity is not Severity.NONE)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"bad": {}}, "say what went wrong"),
        ({"objective": 1}, "less than 1"),
        ({"burns": [{**FAST, "short": "1h"}]}, "short must be shorter than long"),
        ({"burns": [{**FAST, "severity": "none"}]}, "warning or critical"),
        ({"burns": [{**FAST, "long": "8d"}]}, "less than or equal"),
        ({"burns": [{**FAST, "short": "7m"}]}, "multiple of"),
        ({"burns": []}, "at least 1"),
        ({"breaches": 3, "windows": 2}, "breaches must not be more"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        rule(**fields)
