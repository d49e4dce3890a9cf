"""What is passed over cannot have changed anything: the same is decided as where every grid point is evaluated."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from engine.backtest import Backtest
from engine.bounds import columns_of, is_skippable
from engine.evaluator import EvaluatorConfig
from engine.history import of_file
from engine.parts import VersionedRule
from engine.skipping import NEVER, Agenda, Skipping, metrics_read
from schemas.alerts import Transition
from schemas.rollup_wire import Mark
from schemas.rules import AbsenceRule, RatioRule, Rule, ThresholdRule
from schemas.samples import Kind
from tests.engine.pasts import BEGIN_MS, WINDOW_MS, Series, grid_of, rows_of

_RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
WINDOWS = 90
Past = Mapping[str, Sequence[Series]]


def stepped(rule: Rule, past: Past) -> list[dict[str, Any]]:
    """Every grid point, by the evaluator."""
    config = EvaluatorConfig(inputs=frozenset({("past", 0)}), window_ms=WINDOW_MS)
    backtest = Backtest(config, of_file([rule], {}), [], start_ms=BEGIN_MS, born=False)
    found = []
    for place in range(WINDOWS):
        backtest.add(one for metric, several in past.items() if (one := rows_of(metric, several, place)))
        found += backtest.decide([Mark("past", "", 0, BEGIN_MS + (place + 1) * WINDOW_MS, 1)])
    return [_told(one) for one in found]


def skipped(rule: Rule, past: Past, *, chunk: int) -> list[dict[str, Any]]:
    """The same with skipping, some windows at a time."""
    playing = Skipping(VersionedRule(0, rule), WINDOW_MS)
    back = playing.look_back()
    found = []
    for first in range(0, WINDOWS, chunk):
        last = min(first + chunk, WINDOWS)
        grids = {metric: grid_of(past[metric], first - back, last) for metric in metrics_read(playing.rule)}
        found += list(playing.play(grids, back))
    return [_told(one) for one in found]


def _told(transition: Transition) -> dict[str, Any]:
    return transition.model_dump(exclude={"reason", "summary"})


LEVELS = st.sampled_from([0.0, 0.5, 0.79, 0.8, 0.81, 0.84, 0.85, 0.86, 0.9, 0.91, 1.0])
"""Around the thresholds and the way back from them."""


@st.composite
def gauges(draw: st.DrawFn) -> Sequence[Series]:
    """A few series that rest most of the time, go beyond, come back, and are silent now and then."""
    several = []
    for number in range(draw(st.integers(1, 4))):
        windows: list[list[float]] = []
        while len(windows) < WINDOWS:
            length = draw(st.sampled_from([1, 1, 1, 2, 3, 7, 20, 40]))
            level = draw(st.lists(LEVELS, min_size=0, max_size=2))
            windows += [list(level)] * length
        several.append(Series(f"web-{number % 3}", {"zone": "ab"[number % 2]}, Kind.GAUGE, windows[:WINDOWS]))
    return several


@st.composite
def compared(draw: st.DrawFn) -> dict[str, Any]:
    """Everything that a rule may say about how it is judged."""
    windows = draw(st.integers(1, 4))
    waits = {"for_ms": draw(st.sampled_from([0, 60_000, 150_000]))} if windows == 1 else {
        "windows": windows, "breaches": draw(st.integers(1, windows))}  # fmt: skip
    thresholds = draw(st.sampled_from([{"warning": 0.85}, {"critical": 0.85}, {"warning": 0.85, "critical": 0.9}]))
    return {
        "id": "r",
        **waits,
        **thresholds,
        "group_by": draw(st.sampled_from([("source",), ("zone",), (), ("source", "zone")])),
        "over_ms": draw(st.sampled_from([10_000, 60_000, 180_000, 420_000])),
        "good_windows": draw(st.integers(1, 4)),
        "keep_firing_for_ms": draw(st.sampled_from([0, 0, 200_000])),
        "flap_start": draw(st.sampled_from([0, 3, 5])),
        "flap_windows": draw(st.sampled_from([5, 12])),
        "max_alerts": draw(st.sampled_from([1, 2, 100])),
        "grace_ms": draw(st.sampled_from([0, 0, 240_000])),
        "stale_after_ms": draw(st.sampled_from([60_000, 180_000])),
        "on_no_data": draw(st.sampled_from(["stale", "ok", "firing", "keep"])),
        "on_undefined": draw(st.sampled_from(["keep", "ok"])),
        "hysteresis": draw(st.sampled_from([0.0, 0.05])),
    }


@st.composite
def thresholds(draw: st.DrawFn) -> Rule:
    """Rules on a gauge."""
    aggregate = draw(st.sampled_from(["avg", "min", "max", "last", "sum", "count", "change", "rate"]))
    above = draw(st.booleans())
    fields = draw(compared())
    if not above and "critical" in fields and "warning" in fields:
        fields["critical"] = 0.5
    fields |= {"kind": "threshold", "metric": "m", "aggregate": aggregate}
    return _RULE.validate_python({**fields, "direction": "above" if above else "below"})


@given(rule=thresholds(), series=gauges(), chunk=st.sampled_from([7, 30, 90]))
def test_a_threshold_decides_the_same_where_grid_points_are_passed_over(
    rule: Rule, series: Sequence[Series], chunk: int
) -> None:
    assert skipped(rule, {"m": series}, chunk=chunk) == stepped(rule, {"m": series})


@st.composite
def counts(draw: st.DrawFn) -> Sequence[Series]:
    """Requests by how they went: deltas, or counters that fall when they are reset."""
    several = []
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from([Kind.DELTA, Kind.CUMULATIVE]))
        windows: list[list[float]] = []
        reading = 0.0
        while len(windows) < WINDOWS:
            length, each = draw(st.integers(1, 30)), draw(st.sampled_from([None, 0.0, 1.0, 9.0, 50.0, 200.0]))
            reading = draw(st.sampled_from([reading, 0.0]))
            for _ in range(length):
                reading = reading + each if each is not None else 0.0
                counted = [reading] if kind is Kind.CUMULATIVE else [each or 0.0]
                windows.append([] if each is None else counted)
        about = {"outcome": draw(st.sampled_from(["ok", "error"])), "zone": "ab"[number % 2]}
        several.append(Series(f"web-{number % 2}", about, kind, windows[:WINDOWS]))
    return several


@st.composite
def ratios(draw: st.DrawFn) -> Rule:
    """Rules on the part that failed."""
    fields = draw(compared())
    limits = draw(st.sampled_from([{"warning": 0.1}, {"critical": 0.4}, {"warning": 0.1, "critical": 0.4}]))
    about = {"kind": "ratio", "metric": "m", "bad": {"outcome": "error"}, "at_least": draw(st.integers(1, 20))}
    return _RULE.validate_python(fields | {"warning": None, "critical": None} | limits | about)


@given(rule=ratios(), series=counts(), chunk=st.sampled_from([7, 30, 90]))
def test_a_ratio_decides_the_same_where_grid_points_are_passed_over(
    rule: Rule, series: Sequence[Series], chunk: int
) -> None:
    assert skipped(rule, {"m": series}, chunk=chunk) == stepped(rule, {"m": series})


@given(rule=thresholds(), series=counts(), chunk=st.sampled_from([7, 90]))
def test_counters_are_read_as_they_are_where_every_grid_point_is_looked_at(
    rule: Rule, series: Sequence[Series], chunk: int
) -> None:
    assert skipped(rule, {"m": series}, chunk=chunk) == stepped(rule, {"m": series})


@st.composite
def absences(draw: st.DrawFn) -> Rule:
    """Rules on silence."""
    return _RULE.validate_python({
        "id": "r", "kind": "absence", "metric": "m", "after_ms": draw(st.sampled_from([30_000, 120_000])),
        "forget_after_ms": draw(st.sampled_from([300_000, 86_400_000])), "good_windows": draw(st.integers(1, 3)),
        "grace_ms": draw(st.sampled_from([0, 180_000])), "max_alerts": draw(st.sampled_from([1, 100])),
        "flap_start": draw(st.sampled_from([0, 3])), "flap_windows": 8,
    })  # fmt: skip


@given(rule=absences(), series=gauges(), chunk=st.sampled_from([7, 30, 90]))
def test_an_absence_decides_the_same_where_grid_points_are_passed_over(
    rule: Rule, series: Sequence[Series], chunk: int
) -> None:
    assert skipped(rule, {"m": series}, chunk=chunk) == stepped(rule, {"m": series})


def test_what_waits_waits_anew_after_a_stretch_in_which_nothing_was_recorded() -> None:
    rule = _RULE.validate_python(
        {"id": "r", "kind": "threshold", "metric": "m", "critical": 0.8, "for_ms": 180_000, "over_ms": 60_000}
    )
    series = [Series("web-1", {}, Kind.GAUGE, [[0.9]] * 12)]

    def fired(*, unseen: bool) -> list[int]:
        playing = Skipping(VersionedRule(0, rule), WINDOW_MS)
        first = list(playing.play({"m": grid_of(series, -1, 2)}, 1))
        second = list(playing.play({"m": grid_of(series, 5, 12)}, 1, unseen=unseen))
        return [one.at_ms for one in (*first, *second) if one.to_state == "firing"]

    assert fired(unseen=False) == [BEGIN_MS + 7 * WINDOW_MS]
    assert fired(unseen=True) == [BEGIN_MS + 10 * WINDOW_MS]


def test_a_series_that_is_in_no_grid_any_more_is_silent() -> None:
    rule = _RULE.validate_python({"id": "r", "kind": "absence", "metric": "m", "after_ms": 120_000})
    series = [Series(f"web-{number}", {}, Kind.GAUGE, [[0.9]] * 12) for number in range(2)]
    playing = Skipping(VersionedRule(0, rule), WINDOW_MS)
    assert not list(playing.play({"m": grid_of(series, -1, 6)}, 1))
    (silent,) = playing.play({"m": grid_of(series[:1], 5, 12)}, 1)
    assert (silent.entity, silent.at_ms) == ({"source": "web-1"}, BEGIN_MS + 8 * WINDOW_MS)


def test_most_is_passed_over() -> None:
    rule = _RULE.validate_python({"id": "r", "kind": "threshold", "metric": "m", "critical": 0.8})
    good: list[list[float]] = [[0.5]] * WINDOWS
    some = {0: good[:30] + [[0.9]] * 30 + good[60:], 1: good[:-2] + [[0.9]] * 2}
    series = [Series(f"web-{number}", {}, Kind.GAUGE, some.get(number, good)) for number in range(50)]
    playing = Skipping(VersionedRule(0, rule), WINDOW_MS)
    decided = [str(one.to_state) for one in playing.play({"m": grid_of(series, -1, WINDOWS)}, 1)]
    assert decided == ["pending", "firing", "recovering", "ok", "pending", "firing"]
    assert playing.steps < 12


@pytest.mark.parametrize(
    ("fields", "skippable"),
    [
        ({"kind": "threshold", "critical": 1, "aggregate": "max"}, True),
        ({"kind": "threshold", "critical": 1, "aggregate": "p95"}, False),
        ({"kind": "absence"}, True),
        ({"kind": "outlier", "critical": 3}, False),
    ],
)
def test_percentiles_and_what_compares_entities_are_stepped(fields: dict[str, Any], skippable: bool) -> None:
    assert is_skippable(_RULE.validate_python({"id": "r", "metric": "m", **fields})) is skippable


def test_only_the_columns_that_a_rule_looks_at_are_asked_for() -> None:
    assert columns_of(AbsenceRule(id="r", metric="m")) == ("n",)
    assert columns_of(ThresholdRule(id="r", metric="m", critical=1)) == ("n", "sum")
    failing = RatioRule(id="r", metric="m", bad={"outcome": "error"}, critical=0.1)
    assert {"sum", "increase", "first", "last"} <= set(columns_of(failing))


def test_a_counter_that_is_reset_counts_from_zero() -> None:
    about = {"kind": "threshold", "aggregate": "rate", "over_ms": 180_000, "critical": 2, "good_windows": 1}
    rule = _RULE.validate_python({"id": "r", "metric": "m", **about})
    readings = [[(9000.0 if place < 50 else 5000.0) + 10 * place] for place in range(WINDOWS)]
    past = {"m": [Series("web-1", {}, Kind.CUMULATIVE, readings)]}
    assert skipped(rule, past, chunk=WINDOWS) == stepped(rule, past)
    # 5,000 in 3 minutes, for as long as they are among these.
    assert [one["at_ms"] for one in skipped(rule, past, chunk=WINDOWS) if one["to_state"] in ("firing", "ok")] == [
        BEGIN_MS + 51 * WINDOW_MS,
        BEGIN_MS + 53 * WINDOW_MS,
    ]


def test_the_newest_time_of_an_entity_counts_alone() -> None:
    agenda, one, other = Agenda(), (("source", "web-2"),), (("source", "web-1"),)
    assert agenda.first() == NEVER
    for at in (5, 9):
        agenda.put(one, at)
    agenda.put(other, 5)
    assert (agenda.first(), agenda.take(5), agenda.first()) == (5, {other}, 9)
    agenda.put(one, 3)
    assert (agenda.first(), agenda.take(3), agenda.first()) == (3, {one}, NEVER)


def test_what_there_is_no_room_for_is_passed_over_too_until_anything_changes() -> None:
    rule = _RULE.validate_python(
        {"id": "r", "kind": "threshold", "metric": "m", "critical": 0.8, "max_alerts": 1, "flap_windows": 5}
    )
    past = {
        "m": [
            Series("web-0", {}, Kind.GAUGE, [[0.9]] * 60 + [[0.5]] * 30),
            *(Series(f"web-{number}", {}, Kind.GAUGE, [[0.9]] * WINDOWS) for number in range(1, 20)),
        ]
    }
    assert skipped(rule, past, chunk=30) == stepped(rule, past)
    playing = Skipping(VersionedRule(0, rule), WINDOW_MS)
    decided = list(playing.play({"m": grid_of(past["m"], -1, WINDOWS)}, 1))
    opened = [one.entity["source"] for one in decided if one.to_state == "firing" and one.entity]
    assert opened == ["web-0", "web-1"]
    assert playing.steps < 300
