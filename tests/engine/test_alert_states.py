"""What keeps alerts trustworthy: limits, grace, flapping, and results that are no value, as timelines."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.evaluator import Evaluator, EvaluatorConfig
from engine.history import states_at
from engine.parts import VersionedRule
from schemas.alerts import AlertState, Severity, State
from schemas.rules import AbsenceRule, Rule, ThresholdRule
from tests.engine.timelines import CONFIG, T, Values, line, mark, of_rule, play, play_hosts, rows, told, transitions

RULE = ThresholdRule(id="cpu", metric="m", warning=50, critical=100, good_windows=2)
GONE = AbsenceRule(id="gone", metric="m", after_ms=30_000, good_windows=2)
HOSTS = ["a", "bb", "ccc", "dddd"]


def rule(of: Rule = RULE, **fields: Any) -> Any:
    """A rule with other fields."""
    return of.model_copy(update=fields)


def test_beyond_the_limit_no_alert_opens_and_one_alert_of_the_rule_counts_what_is_left_out() -> None:
    two = rule(max_alerts=2)
    evaluator = of_rule(two)
    # The third is first: those that stand stay, and of those that come together the first by name open.
    first = transitions(play_hosts(two, {"ccc": [60]}, evaluator=evaluator))
    assert [one.entity["source"] for one in first] == ["ccc", "ccc"]
    found = transitions(play_hosts(two, {host: [60] for host in HOSTS}, evaluator=evaluator, first=1))
    assert [one.entity.get("source", "") for one in found] == ["a", "a", "", ""]
    of_the_rule = found[-1]
    assert (of_the_rule.entity, of_the_rule.left_out, of_the_rule.value, of_the_rule.threshold) == ({}, 2, 4, 2)
    assert of_the_rule.summary == "cpu has 2 alerts, as many as max_alerts allows: 2 more are left out"
    assert (of_the_rule.to_state, of_the_rule.severity) == (State.FIRING, Severity.WARNING)


def test_an_alert_that_was_left_out_opens_once_there_is_room_and_the_rule_says_when_none_is_left_out() -> None:
    one = rule(max_alerts=1, good_windows=1)
    found = transitions(play_hosts(one, {"a": [60, 60, 1, 1], "bb": [60, 60, 120, 1]}))
    told_of = [(each.entity.get("source"), each.to_state.value) for each in found]
    assert told_of == [
        *[("a", "pending"), ("a", "firing"), (None, "pending"), (None, "firing")],
        *[("a", "ok"), ("bb", "pending"), ("bb", "firing"), (None, "ok")],
        ("bb", "ok"),
    ]
    assert found[-2].summary == "cpu leaves no alert out any more"


@pytest.mark.parametrize("of", [RULE, GONE])
def test_a_limit_that_is_lowered_ends_no_alert(of: Rule) -> None:
    values: Values = [60, 60] if of is RULE else [1, None, None, None, None]
    evaluator = of_rule(of)
    play_hosts(of, dict.fromkeys(HOSTS, values), evaluator=evaluator)
    assert len(evaluator.firing) == 4
    evaluator.apply_rules({of.id: VersionedRule(2, rule(of, max_alerts=1))})
    found = play_hosts(of, dict.fromkeys(HOSTS, values[-1:]), evaluator=evaluator, first=len(values))
    assert transitions(found) == []
    assert len(evaluator.firing) == 4


def test_a_rule_without_groups_has_one_alert_and_leaves_none_out() -> None:
    (_, fired) = transitions(play_hosts(rule(max_alerts=1, group_by=()), {host: [60] for host in HOSTS}))
    assert (fired.entity, fired.left_out) == ({}, 0)


def test_silent_entities_that_are_left_out_are_counted_and_restored() -> None:
    one = rule(GONE, max_alerts=1)
    evaluator = of_rule(one)
    found = play_hosts(one, {"a": [1, None, None, None], "bb": [1, None, None, None]}, evaluator=evaluator)
    assert [(each.entity, each.left_out) for each in transitions(found)] == [({"source": "a"}, 0), ({}, 1)]
    again = restarted(one, found)
    assert transitions(play_hosts(one, {"a": [None]}, evaluator=again, first=4)) == []
    assert len(again.firing) == 2
    assert transitions(play_hosts(one, {"a": [None]}, evaluator=evaluator, first=4)) == []
    # What was decided already is not decided again.
    again.restore([], T)
    again.add_mark(mark(T + 50_000))
    assert transitions(again.evaluate()) == []


def restarted(of: Rule, found: Any) -> Evaluator:
    """An evaluator that knows what the one before made durable."""
    newest: dict[str, AlertState] = {state.alert: state for evaluation in found for state in evaluation.states}
    evaluator = of_rule(of)
    evaluator.restore(newest.values(), found[-1].at_ms)
    return evaluator


@pytest.mark.parametrize(
    ("of", "values", "expected"),
    [
        (rule(grace_ms=30_000), [60, 60, 60, 1], ""),
        (rule(grace_ms=30_000), [60, 60, 60, 60], "pending firing:warning"),
        (rule(grace_ms=30_000), [1, 60, 60, 60], "pending firing:warning"),
        (rule(grace_ms=30_000), [60, None, 60, 60], "pending firing:warning"),
        (rule(grace_ms=30_000), [1, 1, 1, 1, None, None, None, 60, 60], ""),
        (rule(grace_ms=30_000), [1, 1, 1, 1, None, None, 60], "pending firing:warning"),
        (rule(GONE, grace_ms=60_000), [1, None, None, None, None, None, None], "firing:critical"),
        (rule(GONE, grace_ms=60_000), [1, None, None, None, 1], ""),
    ],
)  # fmt: skip
def test_an_entity_that_is_new_raises_nothing_within_its_grace(of: Rule, values: Values, expected: str) -> None:
    assert told(of, values) == expected


@pytest.mark.parametrize(
    ("of", "values", "expected"),
    [
        (rule(keep_firing_for_ms=30_000), [60, 1, 1, 1], "pending firing:warning recovering"),
        (rule(keep_firing_for_ms=30_000), [60, 1, 1, 1, 1], "pending firing:warning recovering ok"),
        (rule(keep_firing_for_ms=30_000), [60, 1, 1, 60, 1, 1, 1],
         "pending firing:warning recovering firing:warning recovering"),
        (rule(keep_firing_for_ms=10_000, good_windows=4), [60, 1, 1, 1], "pending firing:warning recovering"),
        (rule(GONE, keep_firing_for_ms=30_000), [1, None, None, None, 1, 1, 1, 1], "firing:critical recovering ok"),
    ],
)  # fmt: skip
def test_an_alert_keeps_firing_for_as_long_as_its_rule_says(of: Rule, values: Values, expected: str) -> None:
    assert told(of, values) == expected


TO_AND_FRO = [60.0, 1.0]


@pytest.mark.parametrize(
    ("of", "values", "expected"),
    [
        (RULE, TO_AND_FRO * 180,
         "pending firing:warning recovering firing:warning recovering firing:warning~"),
        (rule(flap_start=3), TO_AND_FRO * 180, "pending firing:warning recovering firing:warning~"),
        (rule(flap_start=3), [*TO_AND_FRO * 2, *[1] * 30], "pending firing:warning recovering firing:warning~ ok"),
        (rule(flap_start=3, flap_windows=6), [*TO_AND_FRO * 2, *[60] * 9],
         "pending firing:warning recovering firing:warning~ firing:warning"),
        (rule(flap_start=3, flap_windows=4), [60, 1, 60, 60, 1, 1, 60],
         "pending firing:warning recovering firing:warning~"),
        (rule(flap_start=3, flap_windows=4, good_windows=9), [60, 1, 60, 60, 60, 60, 1],
         "pending firing:warning recovering firing:warning~ firing:warning recovering"),
        (rule(flap_start=3), [60, 1, 60, 120, 60, 120, 1, 60],
         "pending firing:warning recovering firing:warning~ firing:critical~"),
        (rule(flap_start=3), [60, 1, 60, *[None] * 6], "pending firing:warning recovering firing:warning~ stale"),
        (rule(flap_start=3, good_windows=1), TO_AND_FRO * 9, "pending firing:warning ok pending firing:warning~"),
        (rule(flap_start=0), TO_AND_FRO * 4,
         "pending firing:warning recovering firing:warning recovering firing:warning recovering firing:warning "
         "recovering"),
        (rule(flap_start=3), [49, 60, 49, 60, 49, 60, 49], "pending firing:warning"),
        (rule(flap_start=2, for_ms=60_000), TO_AND_FRO * 3, "pending ok pending ok pending ok"),
    ],
)  # fmt: skip
def test_an_alert_that_goes_to_and_fro_says_so_once_and_stands(of: Rule, values: Values, expected: str) -> None:
    assert told(of, values) == expected


@given(st.integers(1, 6), st.integers(1, 8), st.integers(1, 3))
def test_an_alert_that_goes_to_and_fro_for_an_hour_tells_of_it_no_more_often_than_its_limit(
    start: int, good_windows: int, length: int
) -> None:
    of = rule(flap_start=start, good_windows=good_windows, flap_windows=60)
    values = ([60.0] * length + [1.0] * length) * (180 // length)
    found = transitions(play(of, values))
    # A change tells at most two states: pending and firing, or recovering and ok.
    assert len(found) <= 2 * start
    assert [one.flapping for one in found] == [False] * (len(found) - 1) + [True]


def test_what_flaps_and_what_has_settled_is_said_in_words() -> None:
    found = transitions(play(rule(flap_start=3), [*TO_AND_FRO * 2, *[1] * 30]))
    assert [one.summary.partition("; ")[2] for one in found[-2:]] == [
        "it flaps, and stands as firing until it has settled",
        "it flaps no more",
    ]


@pytest.mark.parametrize(
    ("fields", "values", "expected"),
    [
        ({}, [60, *[None] * 6, None, 1, 1], "pending firing:warning stale recovering ok"),
        ({"on_no_data": "keep"}, [60, *[None] * 9, 1, 1], "pending firing:warning recovering ok"),
        ({"on_no_data": "ok"}, [60, None, None], "pending firing:warning recovering ok"),
        ({"on_no_data": "firing"}, [1, *[None] * 5], ""),
        ({"on_no_data": "firing"}, [1, *[None] * 6], "pending firing:critical"),
        ({"on_no_data": "firing", "critical": None}, [1, *[None] * 6, 1, 1], "pending firing:warning recovering ok"),
        ({"on_no_data": "firing"}, [None] * 9, ""),
        ({"on_no_data": "firing", "stale_after_ms": 0}, [1, None], "pending firing:critical"),
        ({"on_undefined": "keep"}, [60, -1, -1], "pending firing:warning"),
        ({"on_undefined": "ok"}, [60, -1, -1], "pending firing:warning recovering ok"),
        ({"on_undefined": "ok"}, [-1, -1], ""),
        ({"on_error": "keep"}, [1, float("inf")], ""),
        ({"on_error": "firing"}, [1, float("inf"), 1, 1], "pending firing:critical recovering ok"),
    ],
)  # fmt: skip
def test_what_is_no_value_has_the_effect_that_the_rule_declares(
    fields: dict[str, Any], values: Values, expected: str
) -> None:
    of = rule(**fields)
    evaluator, found = of_rule(of), []
    for index, value in enumerate(values):
        start_ms = T + index * 10_000
        if value is not None:
            some = rows(value, start_ms)
            some.rows[0].n = 0 if value < 0 else 1
            evaluator.add_rows(some)
        evaluator.add_mark(mark(start_ms + 10_000))
        found += evaluator.evaluate()
    assert line(transitions(found)) == expected


def test_a_page_that_has_no_value_says_why() -> None:
    found = transitions(play(rule(on_no_data="firing"), [1, *[None] * 6]))
    assert found[-1].summary == "m of web: firing, there is no data"


def test_silence_that_fires_ends_after_a_day() -> None:
    found = transitions(play(rule(on_no_data="firing", stale_after_ms=0), [1, *[None] * 8_641]))
    assert line(found) == "pending firing:critical ok"
    assert found[-1].at_ms - found[0].at_ms == 86_390_000


def test_without_all_partitions_silence_neither_fires_nor_resolves() -> None:
    for effect in ("firing", "ok"):
        of = rule(on_no_data=effect, stale_after_ms=0)
        evaluator = Evaluator(EvaluatorConfig(inputs=frozenset({("in", 0), ("in", 1)})))
        evaluator.apply_rules({of.id: VersionedRule(1, of)})
        evaluator.add_mark(mark(T, partition=1))
        play(of, [60], evaluator=evaluator, first=2)
        play(of, [60], evaluator=evaluator, first=3)
        assert transitions(play(of, [None, None], evaluator=evaluator, first=4)) == []


CHOICES = [
    RULE,
    rule(flap_start=3, flap_windows=8),
    rule(flap_start=2, flap_windows=3, good_windows=1),
    rule(grace_ms=30_000),
    rule(max_alerts=1),
    rule(keep_firing_for_ms=30_000, on_no_data="ok"),
    rule(on_no_data="firing", stale_after_ms=20_000, for_ms=20_000),
    rule(GONE, flap_start=3, grace_ms=20_000, max_alerts=1),
]
SOME = st.lists(st.sampled_from([1.0, 49.0, 60.0, 120.0, None]), min_size=25, max_size=25)


@given(st.sampled_from(CHOICES), SOME, SOME, st.integers(1, 24))
@example(CHOICES[3], [1.0, 1.0, None, None, None, 60.0, 60.0], [None] * 7, 5)
def test_a_restart_at_any_grid_point_gives_the_same_transitions(
    of: Rule, one: Values, other: Values, split: int
) -> None:
    whole = play_hosts(of, {"a": one, "bb": other})
    first = play_hosts(of, {"a": one[:split], "bb": other[:split]})
    second = restarted(of, first)
    again = play_hosts(of, {"a": one[split:], "bb": other[split:]}, evaluator=second, first=split)
    assert [each.id for each in transitions([*first, *again])] == [each.id for each in transitions(whole)]


@given(st.sampled_from(CHOICES), SOME)
def test_a_consumer_sees_states_that_follow_from_each_other(of: Rule, values: Values) -> None:
    state, severity = State.OK, Severity.NONE
    for one in transitions(play(of, values)):
        assert one.from_state is state
        assert (one.to_state, one.severity, one.flapping) != (state, severity, False) or one.summary.endswith("more")
        state, severity = one.to_state, one.severity


def test_an_alert_that_flaps_is_told_apart_by_its_history() -> None:
    found = transitions(play(rule(flap_start=3), TO_AND_FRO * 3))
    (state,) = states_at(found, T + 60_000, window_ms=CONFIG.window_ms)
    assert (state.state, state.flapping) == (State.FIRING, True)
