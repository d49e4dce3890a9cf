"""What later data cannot undo is said before the window closes, and is what the grid point decides anyway."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.early import anticipates, may_fire, only_grows
from engine.evaluator import Evaluation, Evaluator
from engine.parts import VersionedRule
from engine.wording import worst_case_delay
from schemas.alerts import AlertState, State, Transition
from schemas.rollup_wire import Row, Rows
from schemas.rules import AbsenceRule, Rule, ThresholdRule
from tests.engine.timelines import T, line, mark, of_rule, rows, transitions

PEAK = ThresholdRule(id="peak", metric="m", aggregate="max", warning=50, critical=100, good_windows=2)
LOW = ThresholdRule(id="low", metric="m", aggregate="min", direction="below", warning=50, critical=10, good_windows=2)
ERRORS = ThresholdRule(id="errors", metric="m", aggregate="sum", warning=50, critical=100, good_windows=2)
Window = Sequence[float]
"""The values of one window, in the order in which they come; an early row tells of each."""


def rule(of: ThresholdRule = PEAK, **fields: Any) -> ThresholdRule:
    """A rule with other fields."""
    return of.model_copy(update=fields)


def grown(values: Window, start_ms: int, ver: int, *, host: str = "web") -> Rows:
    """A row that tells of the values so far."""
    message = rows(values[0], start_ms, ver=ver, host=host)
    row = message.rows[0]
    row.kind, row.n = "delta", len(values)
    row.sum, row.min, row.max, row.last = sum(values), min(values), max(values), values[-1]
    return message


class Log:
    """What an evaluator decides of windows whose rows grow, and what it made durable."""

    def __init__(self, evaluator: Evaluator, *, early: bool) -> None:
        self.evaluator = evaluator
        self.early = early
        self.told: list[Transition] = []
        self.durable: dict[str, AlertState] = {}
        self.ver = 0

    def window(self, index: int, values: Window, *, host: str = "web", closes: bool = True) -> None:
        """One window."""
        for count in range(1, len(values) + 1):
            self.ver += 1
            self.evaluator.add_rows(grown(values[:count], T + index * 10_000, self.ver, host=host))
            found = self.evaluator.anticipate() if self.early else None
            self.take([found] if found else [])
        if closes:
            self.evaluator.add_mark(mark(T + (index + 1) * 10_000))
            self.take(self.evaluator.evaluate())

    def take(self, evaluations: Sequence[Evaluation]) -> None:
        """Keeps what was decided."""
        for evaluation in evaluations:
            self.told += evaluation.transitions
            self.durable |= {state.alert: state for state in evaluation.states}


def begun(of: Rule, *, early: bool = True) -> Log:
    """A log whose first window was evaluated."""
    log = Log(of_rule(of), early=early)
    log.evaluator.add_mark(mark(T))
    log.take(log.evaluator.evaluate())
    return log


@pytest.mark.parametrize(
    ("of", "windows", "expected"),
    [
        (PEAK, [[60]], "pending firing:warning"),
        (PEAK, [[60, 120]], "pending firing:warning firing:critical"),
        (PEAK, [[120]], "pending firing:warning firing:critical"),
        (PEAK, [[60], [60], [120]], "pending firing:warning firing:critical"),
        (rule(warning=None), [[120]], "pending firing:critical"),
        (LOW, [[60, 40, 5]], "pending firing:warning firing:critical"),
        (ERRORS, [[30, 30, 30, 30]], "pending firing:warning firing:critical"),
        (rule(ERRORS, aggregate="rate", warning=5, critical=10), [[30, 30]], "pending firing:warning"),
        (rule(ERRORS, aggregate="count", warning=1, critical=2), [[1, 1]], "pending firing:warning"),
        (rule(over_ms=20_000), [[1], [60]], "pending firing:warning"),
    ],
)  # fmt: skip
def test_it_fires_before_the_window_closes_and_the_grid_point_repeats_nothing(
    of: Rule, windows: Sequence[Window], expected: str
) -> None:
    log = begun(of)
    for index, values in enumerate(windows[:-1]):
        log.window(index, values)
    log.window(len(windows) - 1, windows[-1], closes=False)
    assert line(log.told) == expected
    assert {one.at_ms for one in log.told[-1:]} == {T + len(windows) * 10_000}
    assert len(log.evaluator.firing) == 1
    log.window(len(windows) - 1, windows[-1])
    assert line(log.told) == expected
    (state,) = log.durable.values()
    assert (state.state, state.evaluated_ms) == (State.FIRING, T + len(windows) * 10_000)


@pytest.mark.parametrize(
    "of",
    [
        rule(for_ms=10_000),
        rule(breaches=2, windows=3),
        rule(aggregate="avg"),
        rule(direction="below", warning=100, critical=50),
        rule(max_alerts=1),
        rule(grace_ms=60_000),
        AbsenceRule(id="gone", metric="m"),
        rule(metric="other"),
        rule(where={"zone": "b"}),
    ],
)
def test_what_later_data_may_undo_waits_for_its_grid_point(of: Rule) -> None:
    log = begun(of)
    log.window(0, [1], host="another", closes=False)
    log.window(0, [60], closes=False)
    assert log.told == []


def test_a_sum_of_what_may_be_negative_waits() -> None:
    log = begun(ERRORS)
    log.window(0, [-1, 90], closes=False)
    assert log.told == []
    log.window(0, [-1, 90])
    assert line(log.told) == "pending firing:warning"


def test_what_was_critical_is_not_said_to_be_less_before_its_grid_point() -> None:
    log = begun(PEAK)
    log.window(0, [120])
    log.window(1, [1])
    before = len(log.told)
    log.window(2, [60], closes=False)
    assert len(log.told) == before
    log.window(2, [60, 120], closes=False)
    assert line(log.told[before:]) == "firing:warning firing:critical"


def test_a_window_whose_grid_point_is_not_the_next_waits_for_it() -> None:
    log = begun(PEAK)
    log.window(1, [60], closes=False)
    assert log.told == []
    log.evaluator.add_mark(mark(T + 10_000))
    log.take(log.evaluator.evaluate())
    found = log.evaluator.anticipate()
    assert found is not None
    assert {one.at_ms for one in found.transitions} == {T + 20_000}
    assert log.evaluator.anticipate() is None


def test_before_anything_was_evaluated_nothing_is_said() -> None:
    evaluator = of_rule(PEAK)
    evaluator.add_rows(rows(60, T))
    assert evaluator.anticipate() is None


def test_a_row_that_came_too_late_to_be_held_says_nothing() -> None:
    log = begun(PEAK)
    log.window(-9, [60], closes=False)
    assert log.told == []


def test_what_cannot_be_computed_says_nothing_early() -> None:
    log = begun(rule(on_error="firing"))
    log.window(0, [float("inf")], closes=False)
    assert log.told == []


def test_a_rule_that_goes_ends_what_was_said_early() -> None:
    log = begun(PEAK)
    log.window(0, [60], closes=False)
    log.evaluator.apply_rules({})
    log.window(0, [])
    assert line(log.told) == "pending firing:warning ok"
    assert [one.revision for one in log.told] == [0, 1, 2]


def test_a_rule_that_changed_goes_on_from_what_was_said_early() -> None:
    log = begun(PEAK)
    log.window(0, [60], closes=False)
    log.evaluator.apply_rules({PEAK.id: VersionedRule(2, rule(warning=80, good_windows=1))})
    log.window(0, [])
    assert line(log.told) == "pending firing:warning ok"
    assert len({one.id for one in log.told}) == 3


SOME = st.lists(
    st.lists(st.sampled_from([1.0, 49.0, 60.0, 120.0]), max_size=3), min_size=8, max_size=14
)  # fmt: skip
RULES = st.sampled_from(
    [
        PEAK,
        rule(LOW, warning=55, critical=5),
        ERRORS,
        rule(flap_start=3, flap_windows=4),
        rule(flap_start=2, flap_windows=6, good_windows=1),
        rule(over_ms=20_000, stale_after_ms=20_000),
        rule(grace_ms=20_000),
        rule(warning=None),
    ]
)


def facts(some: Sequence[Transition]) -> list[tuple[object, ...]]:
    """Everything but the value, the sentence that names it, and the moment at which it was said."""
    return [tuple(one.model_dump(exclude={"value", "summary"}).values()) for one in some]


@given(RULES, SOME)
def test_early_or_not_the_transitions_are_the_same(of: Rule, windows: Sequence[Window]) -> None:
    early, late = begun(of), begun(of, early=False)
    for index, values in enumerate(windows):
        early.window(index, values)
        late.window(index, values)
    assert facts(early.told) == facts(late.told)
    assert {alert: one.state for alert, one in early.durable.items()} == {
        alert: one.state for alert, one in late.durable.items()
    }


@given(RULES, SOME, st.integers(0, 7), st.integers(0, 2), st.booleans())
@example(rule(grace_ms=20_000), [[1.0], [120.0], [60.0], [], []], 2, 1, True)
def test_a_crash_after_what_was_said_early_loses_nothing_and_changes_nothing(
    of: Rule, windows: Sequence[Window], crash: int, behind: int, again_early: bool
) -> None:
    whole = begun(of, early=False)
    for index, values in enumerate(windows):
        whole.window(index, values)
    first = begun(of)
    for index, values in enumerate(windows[: crash + 1]):
        first.window(index, values, closes=index < crash)
    second = Log(of_rule(of), early=again_early)
    position_ms = max(T, T + (crash - behind) * 10_000)
    second.evaluator.restore(first.durable.values(), position_ms)
    # The rows that open grid points need are read again, and more.
    second.ver = 1_000
    for index, values in enumerate(windows[:crash]):
        for count in range(1, len(values) + 1):
            second.evaluator.add_rows(grown(values[:count], T + index * 10_000, 1_000 + count))
    for index, values in enumerate(windows[crash:], crash):
        second.window(index, values)
    once = {one.id: one for one in [*first.told, *second.told]}
    assert facts(list(once.values())) == facts(whole.told)


def test_a_rule_that_is_said_early_says_so_where_its_delay_is_told() -> None:
    assert worst_case_delay(PEAK) == (
        "fires at most 14 s after the threshold is crossed (14 s); mostly 4 s after the sample"
    )


def test_a_look_at_one_number_tells_which_rows_matter() -> None:
    def row(value: float) -> Row:
        return rows(value, T).rows[0]

    assert [may_fire(PEAK, row(value)) for value in (49, 60)] == [False, True]
    assert [may_fire(LOW, row(value)) for value in (49, 60)] == [True, False]
    assert may_fire(rule(warning=None), row(99)) is False
    assert may_fire(ERRORS, row(1))
    assert anticipates(PEAK)
    assert not anticipates(rule(LOW, direction="above"))
    assert only_grows(PEAK, [])


def test_the_states_that_were_made_durable_hold_what_was_said() -> None:
    log = begun(PEAK)
    log.window(0, [60, 120], closes=False)
    (state,) = log.durable.values()
    assert (state.state, state.evaluated_ms) == (State.OK, T)
    assert line(state.unsent) == line(log.told) == "pending firing:warning firing:critical"
    assert transitions([]) == []
