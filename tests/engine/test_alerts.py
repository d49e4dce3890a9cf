"""The alert machine and the evaluator: timelines of one value a window, and the states they lead to."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.evaluator import Evaluator, EvaluatorConfig
from engine.parts import VersionedRule
from engine.rules import Reading, judge, read
from engine.transitions import summary
from engine.watermarks import Watermarks
from engine.wording import worst_case_delay, worst_case_delay_ms
from schemas.alerts import AlertState, Outcome, Severity, State
from schemas.rollup_wire import Rows
from schemas.rules import AbsenceRule, Rule, ThresholdRule
from schemas.samples import Kind
from tests.engine.timelines import CONFIG, T, Values, mark, play, rows, told, transitions

CPU = ThresholdRule(id="cpu", metric="m", warning=50, critical=100, for_ms=20_000, good_windows=2)
NOW = CPU.model_copy(update={"for_ms": 0})
TWO_OF_THREE = NOW.model_copy(update={"breaches": 2, "windows": 3})
BELOW = NOW.model_copy(update={"direction": "below", "warning": 10.0, "critical": None})
GONE = AbsenceRule(id="gone", metric="m", after_ms=30_000, good_windows=2)
SOON = GONE.model_copy(update={"forget_after_ms": 60_000})


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        (CPU, [1, 1, 1], ""),
        (CPU, [60, 1], "pending ok"),
        (CPU, [60, 60, 60], "pending firing:warning"),
        (CPU, [60, 60, 49], "pending ok"),
        (CPU, [60, 60, 60, 120, 60], "pending firing:warning firing:critical firing:warning"),
        (CPU, [60, 60, 60, 1, 1], "pending firing:warning recovering ok"),
        (CPU, [60, 60, 60, 1, 60, 1, 1], "pending firing:warning recovering firing:warning recovering ok"),
        (CPU, [60, 60, 60, 49, 49, 49], "pending firing:warning"),
        (CPU, [60, 60, 60, 1, 49, 1, 1], "pending firing:warning recovering ok"),
        (CPU, [60, 60, 60, *[None] * 7, 60], "pending firing:warning stale firing:warning"),
        (CPU, [60, 60, 60, *[None] * 7, 1, 1], "pending firing:warning stale recovering ok"),
        (CPU, [60, 60, 60, *[None] * 20], "pending firing:warning stale"),
        (NOW, [60], "pending firing:warning"),
        (NOW.model_copy(update={"good_windows": 1}), [60, 1], "pending firing:warning ok"),
        (TWO_OF_THREE, [60, 1, 1, 1], "pending ok"),
        (TWO_OF_THREE, [60, 60], "pending firing:warning"),
        (TWO_OF_THREE, [60, 1, 60], "pending firing:warning"),
        (TWO_OF_THREE, [60, 1, 1, 60, 1, 1, 1, 60], "pending ok pending"),
        (TWO_OF_THREE, [60, 49, 120], "pending firing:critical"),
        (TWO_OF_THREE, [60, None, 60], "pending firing:warning"),
        (TWO_OF_THREE, [60, None, None, 60, 1, 1, 1], "pending ok"),
        (TWO_OF_THREE, [60, *[None] * 7, 60, 60], "pending stale pending firing:warning"),
        (TWO_OF_THREE, [60, 1, 60, 1, 1], "pending firing:warning recovering ok"),
        (TWO_OF_THREE, [60, 60, 1, 1, 60], "pending firing:warning recovering ok pending"),
        (BELOW, [5, 11], "pending firing:warning recovering"),
        (GONE, [1, None, None], ""),
        (GONE, [1, None, None, None, None], "firing:critical"),
        (GONE, [1, None, None, None, 1, 1], "firing:critical recovering ok"),
        (GONE, [1, None, None, None, 1, None, 1, 1], "firing:critical recovering ok"),
        (GONE, [None] * 9, ""),
        (CPU, [60, *[None] * 7, 60, 60, 60], "pending stale pending firing:warning"),
        (CPU, [60, *[None] * 7, 60, 1], "pending stale pending ok"),
        (SOON, [1, *[None] * 9], "firing:critical ok"),
        (SOON, [1, *[None] * 9, 1, None, None, None], "firing:critical ok firing:critical"),
    ],
)  # fmt: skip
def test_states_follow_the_values(rule: Rule, values: Values, expected: str) -> None:
    assert told(rule, values) == expected


@given(
    st.sampled_from([CPU, NOW, TWO_OF_THREE, GONE, SOON]),
    st.lists(st.sampled_from([1.0, 49.0, 60.0, 120.0, None]), min_size=1, max_size=25),
    st.integers(1, 25),
)
@example(CPU, [60.0, 120.0, 1.0], 2)
def test_a_restart_at_any_grid_point_gives_the_same_transitions(rule: Rule, values: Values, split: int) -> None:
    whole = play(rule, values)
    first = play(rule, values[:split])
    newest: dict[str, AlertState] = {state.alert: state for evaluation in first for state in evaluation.states}
    second = Evaluator(CONFIG)
    second.apply_rules({rule.id: VersionedRule(1, rule)})
    second.restore(newest.values(), first[-1].at_ms if first else None)
    again = play(rule, values[split:], evaluator=second, first=len(values[:split]))
    assert [one.id for one in transitions([*first, *again])] == [one.id for one in transitions(whole)]


@given(st.permutations([(value, ver) for ver, value in enumerate([60.0, 5.0, 120.0], 1)]))
def test_of_one_row_the_greatest_version_counts_whatever_the_order(order: list[tuple[float, int]]) -> None:
    evaluator = Evaluator(CONFIG)
    evaluator.apply_rules({"cpu": VersionedRule(1, NOW)})
    for value, ver in order:
        evaluator.add_rows(rows(value, T, ver=ver))
    evaluator.add_mark(mark(T + 10_000))
    assert transitions(evaluator.evaluate())[-1].severity is Severity.CRITICAL


def test_ids_are_equal_in_a_replay_and_differ_within_one() -> None:
    values = [60, 60, 60, 120, 1, 1]
    ids = [one.id for one in transitions(play(CPU, values))]
    assert ids == [one.id for one in transitions(play(CPU, values))]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("enabled", "why"), [(False, "disabled"), (True, "removed")])
def test_a_rule_that_goes_ends_its_alerts_and_says_why(enabled: bool, why: str) -> None:
    evaluator = Evaluator(CONFIG)
    evaluator.apply_rules({"cpu": VersionedRule(1, NOW), "gone": VersionedRule(1, GONE)})
    play(NOW, [60], evaluator=evaluator)
    assert [state.rule for state in evaluator.firing] == ["cpu"]
    left = {} if enabled else {"cpu": VersionedRule(2, NOW.model_copy(update={"enabled": False}))}
    evaluator.apply_rules(left)
    (ended,) = transitions(play(NOW, [60], evaluator=evaluator, first=1))
    assert (ended.to_state, why in ended.summary) == (State.OK, True)
    assert evaluator.firing == []


def test_rows_that_no_rule_looks_at_are_not_held_and_other_series_are_told_apart() -> None:
    evaluator = Evaluator(CONFIG)
    rule = NOW.model_copy(update={"where": {"source": "web"}, "group_by": ("source", "zone")})
    evaluator.apply_rules({"cpu": VersionedRule(1, rule)})
    evaluator.add_rows(rows(60, T, host="other"))
    evaluator.add_rows(rows(60, T))
    evaluator.add_mark(mark(T + 10_000))
    (pending, _) = transitions(evaluator.evaluate())
    assert pending.entity == {"source": "web", "zone": "a"}
    evaluator.add_rows(Rows("10s.v1", 10_000, "unknown", "in", "e", 0, 0, []))
    assert evaluator.evaluated_ms == T + 10_000
    evaluator.add_rows(rows(99, T - 600_000))
    assert evaluator.needed_from_ms == T + 10_000


def test_without_a_mark_nothing_is_evaluated() -> None:
    assert Evaluator(CONFIG).evaluate() == []
    assert Evaluator(CONFIG).needed_from_ms == 0


def test_what_was_missed_for_too_long_is_not_evaluated_any_more() -> None:
    evaluator = Evaluator(CONFIG)
    evaluator.restore([], T)
    evaluator.restore([], T - 10_000)
    evaluator.add_mark(mark(T + 7_200_000))
    assert len(evaluator.evaluate()) == 360


@pytest.mark.parametrize("away_ms", [None, 7_200_000])
def test_what_waited_when_the_evaluator_was_away_waits_anew(away_ms: int | None) -> None:
    known = play(CPU, [60])[-1]
    evaluator = Evaluator(CONFIG)
    evaluator.apply_rules({"cpu": VersionedRule(1, CPU)})
    # Without a position nothing tells when it stopped; with one, it is so old that the time between is left out.
    evaluator.restore(known.states, known.at_ms if away_ms else None)
    windows = (away_ms or 60_000) // 10_000
    waiting = transitions(play(CPU, [60, 60], evaluator=evaluator, first=windows))
    assert State.FIRING not in [one.to_state for one in waiting]
    (fired,) = transitions(play(CPU, [60], evaluator=evaluator, first=windows + 2))
    assert (fired.to_state, fired.episode_ms) == (State.FIRING, known.at_ms)


def test_a_wait_that_began_anew_is_known_after_another_restart() -> None:
    known = play(CPU, [60])[-1]
    evaluator = Evaluator(CONFIG)
    evaluator.apply_rules({"cpu": VersionedRule(1, CPU)})
    evaluator.restore(known.states, None)
    (renewed,) = play(CPU, [60], evaluator=evaluator, first=6)
    assert [state.since_ms for state in renewed.states] == [renewed.at_ms]


def test_an_entity_that_is_no_longer_expected_is_forgotten_and_says_so() -> None:
    evaluator = Evaluator(CONFIG)
    evaluator.apply_rules({"gone": VersionedRule(1, SOON)})
    *_, ended = transitions(play(SOON, [1, *[None] * 6], evaluator=evaluator))
    assert (ended.to_state, ended.summary) == (State.OK, "no m for 60 s: it is no longer expected")
    assert play(SOON, [None], evaluator=evaluator, first=7)[-1].states == []


def two_inputs() -> Evaluator:
    """An evaluator of two input partitions."""
    evaluator = Evaluator(EvaluatorConfig(inputs=frozenset({("in", 0), ("in", 1)})))
    evaluator.apply_rules({"cpu": VersionedRule(1, NOW), "gone": VersionedRule(1, GONE)})
    return evaluator


def test_a_partition_that_is_far_behind_does_not_hold_alerts_back_and_nothing_is_resolved_without_it() -> None:
    evaluator = two_inputs()
    evaluator.add_rows(rows(60, T + 20_000))
    evaluator.add_mark(mark(T, partition=1))
    evaluator.add_mark(mark(T + 30_000))
    evaluations = evaluator.evaluate()
    assert evaluations[-1].partial
    raised = transitions(evaluations)
    assert [one.to_state for one in raised] == [State.PENDING, State.FIRING]
    assert all(one.partial for one in raised)
    evaluator.add_rows(rows(120, T + 30_000))
    evaluator.add_mark(mark(T + 40_000))
    assert [one.severity for one in transitions(evaluator.evaluate())] == [Severity.CRITICAL]
    evaluator.add_rows(rows(60, T + 40_000))
    evaluator.add_rows(rows(1, T + 50_000))
    evaluator.add_mark(mark(T + 140_000))
    assert transitions(evaluator.evaluate()) == []


def test_a_partition_that_never_reported_holds_back_only_for_a_while() -> None:
    marks = Watermarks([("in", 0), ("in", 1)], laggard_ms=20_000)
    assert marks.complete() is None
    marks.report("in", 0, T)
    assert marks.complete() is None
    marks.report("in", 0, T + 20_001)
    complete = marks.complete()
    assert complete is not None
    assert (complete.at_ms, complete.partial) == (T + 20_001, True)
    marks.report("in", 1, T + 10_000)
    marks.report("in", 1, T)
    assert marks.marks["in", 1] == T + 10_000


def reading(aggregate: str, *some: tuple[Kind, Rows]) -> Reading:
    """What an aggregate gives of some rows over ten seconds."""
    from engine.combine import of_row

    rule = CPU.model_copy(update={"aggregate": aggregate})
    return read(rule, [(kind, of_row(one.rows[0])) for kind, one in some])


@pytest.mark.parametrize(
    ("aggregate", "value"),
    [("avg", 3), ("sum", 6), ("min", 2), ("max", 4), ("last", 4), ("count", 2), ("rate", 0.6), ("change", 0)],
)
def test_an_aggregate_is_taken_over_all_series_of_an_entity(aggregate: str, value: float) -> None:
    assert reading(aggregate, (Kind.DELTA, rows(2, T)), (Kind.DELTA, rows(4, T + 1))).value == value


def test_a_counters_rate_is_its_growth() -> None:
    assert reading("rate", (Kind.CUMULATIVE, rows(500, T))).value == 0


def test_a_percentile_comes_from_the_sketch() -> None:
    value = reading("p95", (Kind.GAUGE, rows(1, T))).value
    assert value is not None
    assert value == pytest.approx(1.2, rel=0.03)


def test_no_rows_are_no_data_nothing_counted_is_undefined_and_infinity_is_an_error() -> None:
    assert reading("avg") == Reading(Outcome.NO_DATA)
    empty = rows(1, T)
    empty.rows[0].n = 0
    assert reading("avg", (Kind.GAUGE, empty)) == Reading(Outcome.UNDEFINED)
    endless = rows(float("inf"), T)
    assert reading("sum", (Kind.GAUGE, endless)) == Reading(Outcome.ERROR)


def test_what_is_undefined_changes_nothing() -> None:
    evaluator = Evaluator(CONFIG)
    evaluator.apply_rules({"cpu": VersionedRule(1, NOW)})
    play(NOW, [60], evaluator=evaluator)
    undefined = rows(1, T + 10_000, ver=9)
    undefined.rows[0].n = 0
    evaluator.add_rows(undefined)
    evaluator.add_mark(mark(T + 20_000))
    assert transitions(evaluator.evaluate()) == []
    assert len(evaluator.firing) == 1


def test_good_means_back_by_the_hysteresis() -> None:
    assert judge(CPU, 48.0).good is False
    assert judge(CPU, 47.5).good is True
    only_critical = CPU.model_copy(update={"warning": None})
    assert judge(only_critical, 96.0).good is False


def test_the_worst_delay_is_told_with_what_the_rule_adds() -> None:
    assert worst_case_delay_ms(CPU) == 34_000
    assert worst_case_delay(CPU.model_copy(update={"over_ms": 60_000})) == (
        "fires at most 84 s after the threshold is crossed (14 s, over: 50 s more, for: 20 s)"
    )
    assert worst_case_delay(TWO_OF_THREE) == (
        "fires at most 24 s after the threshold is crossed (14 s, breaches: 10 s)"
    )
    assert worst_case_delay(NOW) == "fires at most 14 s after the threshold is crossed (14 s)"
    assert worst_case_delay(GONE) == "fires at most 44 s after the last sample (14 s, after: 30 s)"


def test_summaries_are_sentences() -> None:
    everything: dict[str, str] = {}
    assert summary(CPU, everything, State.STALE, Severity.NONE, value=None, threshold=None) == (
        "m of everything is silent: the alert stands as it was, unconfirmed"
    )
    assert summary(CPU, {"source": "web"}, State.FIRING, Severity.CRITICAL, value=120.0, threshold=100.0) == (
        "m avg 120 above critical 100 for 20 s on web"
    )
    assert summary(TWO_OF_THREE, {}, State.FIRING, Severity.WARNING, value=60.0, threshold=50.0) == (
        "m avg 60 above warning 50 in 2 of 3 windows on everything"
    )
    assert summary(GONE, {"source": "web"}, State.OK, Severity.NONE, value=None, threshold=None) == "m from web is back"
    assert summary(CPU, everything, State.OK, Severity.NONE, value=None, threshold=None) == "m of everything: ok"


LONG = CPU.model_copy(update={"id": "long", "over_ms": 30_000})


def test_an_evaluation_that_the_state_already_includes_changes_nothing() -> None:
    evaluator = Evaluator(CONFIG)
    evaluator.apply_rules({"cpu": VersionedRule(1, NOW)})
    play(NOW, [60], evaluator=evaluator)
    (known,) = evaluator.firing
    evaluator.restore([], T)
    evaluator.add_rows(rows(1, T, ver=9))
    assert [one.states for one in evaluator.evaluate()] == [[]]
    assert evaluator.firing == [known]


def test_rules_that_stay_keep_their_alerts_and_rows_stay_for_as_long_as_a_rule_looks_back() -> None:
    evaluator = Evaluator(CONFIG)
    rules = {"cpu": VersionedRule(1, NOW), "long": VersionedRule(1, LONG)}
    evaluator.apply_rules(rules)
    evaluator.restore([], None)
    play(NOW, [60, 60], evaluator=evaluator)
    evaluator.apply_rules(rules)
    assert transitions(play(NOW, [60], evaluator=evaluator, first=2))[-1].rule == "long"
    assert evaluator.evaluate() == []
    assert evaluator.needed_from_ms == T + 10_000
