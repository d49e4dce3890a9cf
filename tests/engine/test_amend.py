"""Late data that would have changed what was decided is told, and changes no state."""

from typing import Any

import pytest

from engine.evaluator import Evaluator
from engine.notices import Notices
from engine.parts import VersionedRule
from engine.routing import tree
from schemas.alerts import Amendment, Severity, State, Transition
from schemas.routes import RouteSettings
from schemas.rules import AbsenceRule, RatioRule, Rule, ThresholdRule
from tests.engine.alerting import changed
from tests.engine.timelines import T, mark, of_rule, play, rows

RULE = ThresholdRule(id="cpu", metric="m", warning=50, critical=100, good_windows=2)
NONE, WARNING, CRITICAL = Severity.NONE, Severity.WARNING, Severity.CRITICAL


def rule(**fields: Any) -> ThresholdRule:
    """The rule with other fields."""
    return RULE.model_copy(update=fields)


def decided(of: Rule, *values: float | None) -> Evaluator:
    """An evaluator that decided of one value a window."""
    evaluator = of_rule(of)
    play(of, values, evaluator=evaluator)
    return evaluator


def late(evaluator: Evaluator, index: int, value: float, *, host: str = "web") -> list[Transition]:
    """What a late row of a window makes."""
    evaluator.add_rows(rows(value, T + index * 10_000, ver=99, host=host))
    return evaluator.take_amendments()


@pytest.mark.parametrize(
    ("values", "value", "expected"),
    [
        ([1, 1], 60, (NONE, WARNING)),
        ([60, 60], 120, (WARNING, CRITICAL)),
        ([120, 120], 1, (CRITICAL, NONE)),
        ([1, None], 60, (NONE, WARNING)),
        ([1, 1], 49, None),
        ([60, 60], 99, None),
    ],
)
def test_late_data_that_changes_a_verdict_is_told_once(
    values: list[float | None], value: float, expected: tuple[Severity, Severity] | None
) -> None:
    evaluator = decided(RULE, *values)
    found = late(evaluator, 1, value)
    assert [one.amends for one in found] == (
        [Amendment(decided=expected[0], instead=expected[1])] if expected is not None else []
    )
    assert evaluator.take_amendments() == []
    assert late(evaluator, 1, value) == []


def test_it_names_the_time_the_value_and_what_was_decided_and_leaves_the_state_as_it_is() -> None:
    evaluator = decided(RULE, 60, 1, 1)
    (one,) = late(evaluator, 1, 120)
    assert (one.at_ms, one.value, one.threshold) == (T + 20_000, 120, 100)
    assert one.summary == "late data: m avg 120 above critical 100 on web; decided was none"
    assert (one.from_state, one.to_state, one.severity) == (State.OK, State.OK, NONE)
    assert evaluator.firing == []
    standing = decided(RULE, 60, 60)
    (other,) = late(standing, 0, 1)
    assert (other.from_state, other.to_state, other.severity) == (State.FIRING, State.FIRING, WARNING)
    assert other.summary == "late data: m avg 1 is back from above 50 on web; decided was warning"
    assert [each.state for each in standing.firing] == [State.FIRING]
    assert other.id != one.id


def test_a_rule_that_looks_back_is_looked_at_wherever_the_window_counts() -> None:
    evaluator = decided(rule(aggregate="max", over_ms=20_000), 1, 1, 1)
    assert [one.at_ms for one in late(evaluator, 1, 60)] == [T + 20_000, T + 30_000]


def test_it_is_bounded_to_the_last_grid_points() -> None:
    evaluator = decided(RULE, *[1] * 9)
    assert [bool(late(evaluator, index, 60)) for index in range(9)] == [False] * 6 + [True] * 3


def test_entities_are_told_in_their_order_and_up_to_a_number_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.amend.MAX_ENTITIES", 2)
    evaluator = decided(RULE, 1)
    message = rows(60, T, ver=99, host="ccc")
    message.rows += [rows(60, T, ver=99, host=host).rows[0] for host in ("bb", "a")]
    evaluator.add_rows(message)
    assert [one.entity["source"] for one in evaluator.take_amendments()] == ["a", "bb"]


@pytest.mark.parametrize(
    "of", [AbsenceRule(id="gone", metric="m", after_ms=10_000), rule(where={"zone": "b"}), rule(metric="other")]
)
def test_other_rules_and_other_series_are_left_alone(of: Rule) -> None:
    assert late(decided(of, None, None), 1, 60) == []


def test_a_part_of_too_little_has_no_verdict_and_late_data_give_it_one() -> None:
    of = RatioRule(id="bad", metric="m", bad={"zone": "a"}, warning=0.1, at_least=10)
    evaluator = decided(of, 5)
    (one,) = late(evaluator, 0, 50)
    assert one.amends == Amendment(decided=NONE, instead=WARNING)


def test_what_an_evaluator_or_a_version_did_not_decide_it_does_not_amend() -> None:
    evaluator = of_rule(RULE)
    evaluator.restore([], T + 20_000)
    assert late(evaluator, 1, 60) == []
    known = decided(RULE, 1, 1)
    known.apply_rules({RULE.id: VersionedRule(2, rule(warning=40))})
    assert late(known, 1, 60) == []


def test_a_rule_that_went_is_not_amended() -> None:
    evaluator = decided(RULE, 60)
    evaluator.apply_rules({})
    evaluator.add_mark(mark(T + 20_000))
    evaluator.evaluate()
    evaluator.apply_rules({RULE.id: VersionedRule(1, RULE)})
    assert late(evaluator, 0, 60) == []


def test_people_are_not_told_of_it() -> None:
    notices = Notices(tree(RouteSettings(receiver="ops")))
    notices.take(changed("firing", 10), 0)
    amended = changed("ok", 20, from_state=State.OK, amends=Amendment(decided=NONE, instead=CRITICAL))
    notices.take(amended, 0)
    (planned,) = notices.plan(60_000)
    assert [one.to_state for one in planned.notice.alerts] == [State.FIRING]
