"""Rules over other rules: several raised together, and one after another."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from engine.evaluator import Evaluation, Evaluator, EvaluatorConfig
from engine.parts import VersionedRule, with_parts
from engine.standing import stands
from engine.trial import Given, play
from engine.wording import condition, worst_case_delay
from schemas.alerts import AlertState, State
from schemas.rollup_wire import Mark, Row, Rows
from schemas.rules import Rule

RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
Curves = Mapping[str, Callable[[int], float]]
"""By metric its value at a second."""


def rule(kind: str = "threshold", **fields: Any) -> Any:
    about = {"metric": "slow", "warning": 1} if kind == "threshold" else {}
    return RULE.validate_python({"id": "r", "kind": kind, "good_windows": 1, "flap_start": 0, **about, **fields})


SLOW = rule(id="slow", metric="slow", warning=1, critical=10, enabled=False)
FAILING = rule(id="failing", metric="failing", enabled=False)
DEPLOY = rule(id="deploy", metric="deploy", enabled=False, flap_windows=2)
PARTS = [SLOW, FAILING, DEPLOY]


def during(from_s: int, to_s: int, value: float = 5.0) -> Callable[[int], float]:
    return lambda at_s: value if from_s <= at_s < to_s else 0.0


def told(one: Rule, curves: Curves, *, minutes: int = 10, parts: Sequence[Rule] = PARTS) -> list[str]:
    """What is told of host `a`: state, severity and second, in order."""
    given_ = [
        Given(at_s * 1000, "a", metric, "gauge", {}, curve(at_s))
        for metric, curve in curves.items()
        for at_s in range(0, minutes * 60, 10)
    ]
    return [
        f"{change.to_state}:{change.severity} {at_ms // 1000}"
        for at_ms, transitions in play([*parts, one], given_, until_ms=minutes * 60_000)
        for change in transitions
        if change.to_state in {"firing", "ok"}
    ]


def test_it_fires_while_all_of_its_rules_are_raised_and_they_themselves_tell_nothing() -> None:
    both = rule("composite", rules=["slow", "failing"])
    curves = {"slow": during(60, 300), "failing": during(120, 240)}
    assert told(both, curves) == ["firing:warning 130", "ok:warning 250"]


def test_it_is_as_bad_as_the_worst_of_them_or_as_it_says() -> None:
    curves = {"slow": during(60, 300, 50.0), "failing": during(120, 240)}
    assert told(rule("composite", rules=["slow", "failing"]), curves)[0] == "firing:critical 130"
    assert told(rule("composite", rules=["slow", "failing"], severity="warning"), curves)[0] == "firing:warning 130"


def test_some_of_several_are_enough_and_one_that_must_not_be_is_against_it() -> None:
    one = rule("composite", rules=["slow", "failing"], at_least=1, unless=["deploy"])
    curves = {"slow": during(60, 300), "failing": during(0, 0), "deploy": during(120, 180)}
    assert told(one, curves) == ["firing:warning 70", "ok:warning 130", "firing:warning 190", "ok:warning 310"]


def test_it_waits_for_as_long_as_it_says() -> None:
    one = rule("composite", rules=["slow"], **{"for": "1m"})
    assert told(one, {"slow": during(60, 300)}) == ["firing:warning 130", "ok:warning 310"]
    assert told(one, {"slow": during(60, 90)}) == ["ok:warning 100"]


def test_what_its_rules_wait_for_it_waits_for() -> None:
    patient, one = rule(id="slow", enabled=False, **{"for": "1m"}), rule("composite", rules=["slow"])
    assert told(one, {"slow": during(60, 300)}, parts=[patient]) == ["firing:warning 130", "ok:warning 310"]


def test_a_rule_that_is_not_there_holds_nothing_up_and_raises_nothing() -> None:
    assert told(rule("composite", rules=["slow", "gone"]), {"slow": during(0, 600)}) == []
    one = rule("composite", rules=["slow"], unless=["gone"])
    assert told(one, {"slow": during(60, 300)}) == ["firing:warning 70", "ok:warning 310"]


def test_a_rule_of_everything_concerns_each_host() -> None:
    everywhere = rule(id="deploy", metric="deploy", group_by=[])
    one = rule("composite", rules=["slow", "deploy"])
    curves = {"slow": during(60, 300), "deploy": during(120, 240)}
    assert told(one, curves, parts=[SLOW, everywhere])[1:3] == ["firing:warning 130", "ok:warning 250"]


def test_silence_is_no_end_of_it() -> None:
    given_ = [Given(at_s * 1000, "a", "slow", "gauge", {}, 5.0) for at_s in range(0, 60, 10)]
    changes = [
        change.to_state for _, some in play([SLOW, rule("composite", rules=["slow"])], given_, until_ms=900_000)
        for change in some
    ]  # fmt: skip
    assert changes == ["firing"]


def test_one_after_another_fires_when_the_second_begins_until_that_is_over() -> None:
    one = rule("sequence", first="deploy", then="failing", within="2m")
    soon = {"deploy": during(60, 90), "failing": during(180, 300)}
    assert told(one, soon) == ["firing:critical 190", "ok:critical 310"]
    late = {"deploy": during(60, 90), "failing": during(240, 300)}
    assert told(one, late) == []


def test_the_other_way_round_and_at_the_same_time_is_no_sequence() -> None:
    one = rule("sequence", first="deploy", then="failing", within="5m")
    assert told(one, {"deploy": during(120, 150), "failing": during(60, 300)}) == []
    assert told(one, {"deploy": during(60, 90), "failing": during(60, 300)}) == []


def test_a_third_one_between_them_makes_it_none() -> None:
    one = rule("sequence", first="deploy", then="failing", within="5m", without="slow", severity="warning")
    curves = {"deploy": during(60, 90), "failing": during(180, 300)}
    assert told(one, {**curves, "slow": during(100, 130)}) == []
    assert told(one, {**curves, "slow": during(0, 50)}) == ["firing:warning 190", "ok:warning 310"]
    assert told(one, {**curves, "slow": during(0, 400)}) == []


def test_what_follows_a_first_that_still_stands_counts() -> None:
    one = rule("sequence", first="deploy", then="failing", within="10s")
    assert told(one, {"deploy": during(60, 400), "failing": during(300, 350)})[0] == "firing:critical 310"


def test_they_say_what_they_are() -> None:
    both = rule("composite", rules=["slow", "failing"], unless=["deploy"], **{"for": "1m"})
    assert condition(both) == "slow and failing unless deploy for 60 s"
    assert condition(rule("composite", rules=["slow", "failing"], at_least=1)) == "1 of slow, failing"
    later = rule("sequence", first="deploy", then="failing", within="5m", without="slow")
    assert condition(later) == "deploy, then failing within 5m without slow"
    assert condition(rule("absence", id="a", metric="m")) == "no m for 30 s"
    patient = rule(id="slow", **{"for": "1m"})
    assert worst_case_delay(both, {"slow": patient, "failing": FAILING}) == (
        "fires at most 134 s after it becomes true (14 s, its rules: 60 s more, for: 60 s)"
    )


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [
        ("composite", {"rules": []}, "at least 1"),
        ("composite", {"rules": ["a", "a"]}, "each named once"),
        ("composite", {"rules": ["r"]}, "each named once"),
        ("composite", {"rules": ["a"], "at_least": 2}, "more than there are"),
        ("composite", {"rules": ["a"], "severity": "none"}, "warning or critical"),
        ("sequence", {"first": "a", "then": "b", "within": "1s"}, "greater than or equal"),
        ("sequence", {"first": "a", "then": "b", "within": "1m", "severity": "none"}, "warning or critical"),
        ("sequence", {"first": "a", "then": "b", "within": "1m", "without": "a"}, "each named once"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: str, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        rule(kind, **fields)


class Running:
    """An evaluator, and what of it is durable."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self.states: dict[str, AlertState] = {}
        self.told: list[str] = []
        self.start(None)

    def start(self, evaluated_ms: int | None) -> None:
        every = {one.id: VersionedRule(1, one) for one in self.rules}
        self.evaluator = Evaluator(EvaluatorConfig(inputs=frozenset({("in", 0)})))
        self.evaluator.apply_rules(with_parts(every, every))
        self.evaluator.restore(
            [AlertState.model_validate_json(one.model_dump_json()) for one in self.states.values()], evaluated_ms
        )

    def point(self, number: int, values: Mapping[str, float], *, ver: int = 1) -> None:
        start_ms, zeros = 1_000_000 + number * 10_000, "0" * 16
        for metric, value in values.items():
            row = Row(
                zeros, "a", {}, "gauge", start_ms, ver, 1, value, value, value, value, start_ms, value, start_ms,
                0.0, zeros, zeros, 0, {10: 1}, {},
            )  # fmt: skip
            self.evaluator.add_rows(Rows("10s.v1", 10_000, metric, "in", "e", 0, 0, [row]))
        self.evaluator.add_mark(Mark("in", "e", 0, start_ms + 10_000, 1))
        for evaluation in self.evaluator.evaluate():
            self._keep(evaluation)

    def _keep(self, evaluation: Evaluation) -> None:
        self.states |= {state.alert: state for state in evaluation.states}
        self.told += [one.id for one in evaluation.transitions]


LEVELS = st.lists(st.tuples(*[st.sampled_from([0.0, 5.0])] * 3), min_size=8, max_size=40)


@settings(max_examples=60, deadline=None)
@given(LEVELS, st.sets(st.integers(1, 40), max_size=6))
def test_one_that_is_stopped_and_started_decides_as_one_that_never_was(
    levels: list[tuple[float, ...]], stops: set[int]
) -> None:
    rules = [
        *PARTS,
        rule("composite", id="both", rules=["slow", "failing"], unless=["deploy"], **{"for": "20s"}),
        rule("sequence", id="after", first="deploy", then="failing", within="1m", without="slow"),
    ]
    one, other = Running(rules), Running(rules)
    for number, level in enumerate(levels):
        values = dict(zip(("slow", "failing", "deploy"), level, strict=True))
        one.point(number, values)
        other.point(number, values)
        if number in stops:
            other.start(other.evaluator.evaluated_ms)
    assert other.told == one.told


def test_states_of_parts_are_durable_beside_it_and_end_with_it() -> None:
    some = Running([*PARTS, rule("composite", id="both", rules=["slow", "failing"])])
    for number in range(3):
        some.point(number, {"slow": 5.0, "failing": 5.0})
    assert {(one.rule, one.state) for one in some.states.values()} == {
        ("both", State.FIRING), ("both~slow", State.FIRING), ("both~failing", State.FIRING)
    }  # fmt: skip
    assert [one.rule for one in some.evaluator.firing] == ["both"]
    some.evaluator.apply_rules({})
    some.point(3, {"slow": 5.0})
    assert {one.state for one in some.states.values()} == {State.OK}


def test_people_hear_of_the_alert_and_not_of_its_parts_also_where_only_states_are_known() -> None:
    some = Running([*PARTS, rule("composite", id="both", rules=["slow", "failing"])])
    for number in range(3):
        some.point(number, {"slow": 5.0, "failing": 5.0})
    assert [one.rule for one in some.states.values() if stands(one)] == ["both"]
    gone = some.states.values()
    assert [one.rule for one in gone if stands(one.model_copy(update={"state": State.STALE, "resume": State.OK}))] == []


def test_late_data_of_a_part_are_no_annotation() -> None:
    some = Running([*PARTS, rule("composite", id="both", rules=["slow"])])
    for number in range(3):
        some.point(number, {"slow": 0.0})
    some.point(1, {"slow": 5.0}, ver=2)
    assert some.evaluator.take_amendments() == []
