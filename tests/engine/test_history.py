"""What was in force at a time of the past, and how alerts stood then; and what a backtest makes of it."""

from typing import Any

import pytest

from engine.alerts import new_alert
from engine.backtest import Backtest
from engine.evaluator import EvaluatorConfig
from engine.history import (
    MAX_WARM_UP_MS,
    Timeline,
    look_back_ms,
    of_file,
    states_at,
    timeline,
    warm_up_ms,
)
from engine.parts import VersionedRule
from schemas.alerts import AlertState, Severity, State, Transition
from schemas.control import RuleApplied, RuleControl
from schemas.rollup_wire import Mark, Row, Rows
from schemas.rules import AbsenceRule, Rule, ThresholdRule
from schemas.rules_of_rules import SequenceRule
from schemas.samples import Kind
from schemas.series import series_of

WINDOW_MS = 10_000
INPUT = ("metrics.samples", 0)


def threshold(id_: str = "high", **fields: Any) -> ThresholdRule:
    defaults = {"kind": "threshold", "metric": "m", "aggregate": "max", "over_ms": 10_000, "direction": "above"}
    return ThresholdRule.model_validate({"id": id_, "warning": 5.0, **defaults, **fields})


def absence(**fields: Any) -> AbsenceRule:
    return AbsenceRule.model_validate({"id": "gone", "kind": "absence", "metric": "m", "after_ms": 30_000, **fields})


def decided(version: int, at_ms: int, rule: Rule | None, id_: str = "high") -> RuleControl:
    return RuleControl(id=f"rule/{id_}", version=version, at_ms=at_ms, by="ada", rule=rule)


def applied(version: int, from_ms: int, id_: str = "high") -> RuleApplied:
    return RuleApplied(id=f"applied/{id_}", version=version, from_ms=from_ms)


def versions(rules: Timeline, *times_ms: int) -> list[dict[str, int]]:
    return [{id_: one.version for id_, one in rules.at(at_ms).items()} for at_ms in times_ms]


def test_a_version_is_in_force_from_when_it_was_applied_the_first_time_until_the_next_one_is() -> None:
    records = [decided(2, 41_000, threshold(warning=7.0)), decided(1, 1_000, threshold()), decided(3, 80_000, None)]
    news = [applied(1, 10_000), applied(2, 60_000), applied(2, 50_000), applied(2, 70_000), applied(3, 90_000)]
    rules = timeline(records, news, window_ms=WINDOW_MS)

    assert versions(rules, 9_999, 10_000, 49_999, 50_000, 89_999, 90_000) == [
        {}, {"high": 1}, {"high": 1}, {"high": 2}, {"high": 2}, {},
    ]  # fmt: skip
    assert [getattr(one, "warning", None) for one in rules.rules(20_000, 60_000)] == [5.0, 7.0]
    assert rules.rules(95_000, 99_000) == []


def test_a_version_that_was_passed_over_never_was_in_force() -> None:
    records = [decided(version, version * 1_000, threshold(warning=float(version))) for version in (1, 2, 3)]
    rules = timeline(records, [applied(1, 10_000), applied(3, 20_000)], window_ms=WINDOW_MS)
    assert versions(rules, 15_000, 20_000) == [{"high": 1}, {"high": 3}]


def test_of_two_that_were_decided_at_once_under_one_number_the_later_one_was_in_force() -> None:
    records = [decided(1, 1_002, threshold(warning=7.0)), decided(1, 1_001, threshold(warning=6.0))]
    rules = timeline(records, [applied(1, 10_000)], window_ms=WINDOW_MS)
    assert [getattr(one, "warning", None) for one in rules.rules(10_000, 20_000)] == [7.0]


def test_of_versions_from_before_it_was_told_when_they_were_applied_the_decision_counts() -> None:
    records = [decided(1, 11_000, threshold()), decided(2, 31_000, threshold(warning=6.0)), decided(1, 5, None, "x")]
    assert versions(timeline(records, [], window_ms=WINDOW_MS), 19_999, 20_000, 40_000) == [
        {}, {"high": 1}, {"high": 2},
    ]  # fmt: skip
    told = timeline(records, [applied(2, 50_000)], window_ms=WINDOW_MS)
    assert versions(told, 20_000, 49_999, 50_000) == [{"high": 1}, {"high": 1}, {"high": 2}]


def test_rules_of_a_file_hold_for_all_times_and_keep_the_version_of_an_equal_rule() -> None:
    before = {"same": VersionedRule(4, threshold("same")), "changed": VersionedRule(5, threshold("changed"))}
    rules = of_file([threshold("same"), threshold("changed", warning=6.0), threshold("new")], before)
    assert versions(rules, 0, 10**12) == [{"same": 4, "changed": 0, "new": 0}] * 2


def transition(at_ms: int, from_state: State, to_state: State, *, alert: str = "0" * 16, **fields: Any) -> Transition:
    about = {"rule": "high", "rule_version": 2, "entity": {"source": "a"}, "metric": "m", "outcome": "value"}
    return Transition(
        id=f"{at_ms:032x}", alert=alert, episode_ms=10_000, at_ms=at_ms, from_state=from_state, to_state=to_state,
        severity=Severity.WARNING, **{**about, **fields},
    )  # fmt: skip


def test_alerts_stand_as_their_last_transition_left_them() -> None:
    other = "1" * 16
    told = [
        transition(30_000, State.FIRING, State.RECOVERING),
        transition(10_000, State.OK, State.PENDING),
        transition(10_000, State.PENDING, State.FIRING, revision=1),
        transition(20_000, State.OK, State.FIRING, alert=other),
        transition(60_000, State.FIRING, State.STALE, alert=other),
        transition(70_000, State.RECOVERING, State.OK),
    ]

    def states(at_ms: int) -> list[tuple[Any, ...]]:
        found = states_at(told, at_ms, window_ms=WINDOW_MS)
        assert all(one.evaluated_ms == at_ms and one.episode_ms == 10_000 for one in found)
        return [(one.alert, one.state, one.since_ms, one.good_windows, one.resume) for one in found]

    assert states(9_999) == []
    assert states(10_000) == [("0" * 16, State.FIRING, 10_000, 0, State.OK)]
    assert states(50_000)[0] == ("0" * 16, State.RECOVERING, 30_000, 3, State.OK)
    assert states(70_000) == [(other, State.STALE, 60_000, 0, State.FIRING)]


def test_rules_say_how_far_back_a_replay_begins() -> None:
    assert look_back_ms([], 10_000) == 10_000
    assert look_back_ms([absence()], 10_000) == 60_000
    assert look_back_ms([threshold(over_ms=60_000), threshold()], 10_000) == 60_000
    assert look_back_ms([threshold()], 60_000) == 60_000
    assert warm_up_ms([], 10_000) == 70_000
    assert warm_up_ms([absence(after_ms=600_000)], 10_000) == 610_000
    assert warm_up_ms([threshold(for_ms=300_000)], 10_000) == 310_000
    assert warm_up_ms([threshold(good_windows=60)], 10_000) == 610_000
    sequence = SequenceRule(id="s", kind="sequence", first="a", then="b", within_ms=900_000)
    assert warm_up_ms([sequence], 10_000) == 910_000
    assert warm_up_ms([threshold(breaches=3, windows=30)], 10_000) == 310_000
    assert warm_up_ms([threshold(for_ms=10**9)], 10_000) == MAX_WARM_UP_MS
    assert warm_up_ms([threshold(for_ms=10**9)], 7_000) % 7_000 == 0


def rows(start_ms: int, value: float, *, metric: str = "m", window_ms: int = WINDOW_MS) -> Rows:
    series = series_of(metric, "a", {}, Kind.GAUGE)
    row = Row(
        series=series.hex, source="a", dimensions={}, kind="gauge", start_ms=start_ms, ver=1, n=1, sum=value, min=value,
        max=value, first=value, first_ms=start_ms, last=value, last_ms=start_ms, increase=0.0, h_sum="0" * 16,
        h_xor="0" * 16,
    )  # fmt: skip
    return Rows("r", window_ms, metric, *INPUT[:1], "e1", 0, 0, [row])


def backtest(rules: Timeline, states: list[AlertState], *, window_ms: int = WINDOW_MS, born: bool = False) -> Backtest:
    config = EvaluatorConfig(inputs=frozenset([INPUT]), window_ms=window_ms)
    return Backtest(config, rules, states, start_ms=60_000, born=born)


def mark(at_ms: int) -> Mark:
    return Mark(INPUT[0], "e1", INPUT[1], at_ms, 0)


@pytest.mark.parametrize("told_every_ms", [WINDOW_MS, 20_000, 60_000])
def test_a_backtest_changes_rules_at_the_point_where_they_were_changed(told_every_ms: int) -> None:
    records = [decided(1, 0, threshold(warning=50.0)), decided(2, 0, threshold())]
    told = backtest(timeline(records, [applied(1, 0), applied(2, 90_000)], window_ms=WINDOW_MS), [])
    found = []
    for start_ms in range(60_000, 120_000, WINDOW_MS):
        told.add([rows(start_ms, 9.0), rows(start_ms, 99.0, metric="other")])
        end_ms = start_ms + WINDOW_MS
        found += told.decide([mark(end_ms)] if end_ms % told_every_ms == 0 else [])
    assert [(one.at_ms, one.rule_version, one.to_state) for one in found] == [
        (90_000, 2, State.PENDING),
        (90_000, 2, State.FIRING),
    ]
    assert told.evaluated_ms == 120_000


@pytest.mark.parametrize(("born", "first_ms"), [(False, 70_000), (True, 90_000)])
def test_where_the_log_begins_a_backtest_begins_as_the_evaluator_did(born: bool, first_ms: int) -> None:
    told = backtest(of_file([threshold(warning=50.0)], {}), [], born=born)
    told.add([rows(60_000, 99.0), rows(70_000, 99.0), rows(80_000, 99.0)])
    assert {one.at_ms for one in told.decide([mark(90_000)])} == {first_ms}


@pytest.mark.parametrize(("version", "expected"), [(3, [State.OK]), (0, [])])
def test_alerts_of_rules_that_were_in_force_go_on(version: int, expected: list[State]) -> None:
    rule = threshold(good_windows=1, group_by=["source"])
    standing = new_alert(rule, {"source": "a"}, 3).model_copy(
        update={"state": State.FIRING, "severity": Severity.WARNING}
    )
    gone = new_alert(threshold("elsewhere"), {}, 1).model_copy(update={"state": State.FIRING})
    before = {} if version == 0 else {rule.id: VersionedRule(version, rule)}
    told = backtest(of_file([rule], before), [standing, gone])
    told.add([rows(60_000, 1.0)])
    assert [one.to_state for one in told.decide([mark(70_000)])] == expected
    assert told.decide([]) == []


def test_rules_look_back_over_whole_windows_of_any_length() -> None:
    told = backtest(of_file([threshold(over_ms=70_000), absence(after_ms=120_000)], {}), [], window_ms=60_000)
    told.add([rows(0, 9.0, window_ms=60_000)])
    assert {(one.at_ms, one.rule) for one in told.decide([mark(120_000)])} == {(120_000, "high")}
    told.decide([mark(180_000)])
