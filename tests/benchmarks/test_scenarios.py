"""Scenarios of faults and of habits, and quiet load: some of each, and what the rules say of them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.scenarios import load, quiet
from benchmarks.scenarios.faults import FAULTS, Fault
from benchmarks.scenarios.habits import HABITS
from benchmarks.scenarios.judging import KINDS, Verdict, judged, p95_upper_bound, rules, section
from benchmarks.scenarios.load import SERIES, Load
from benchmarks.scenarios.platform import COUNTING, QUIET_S, Platform
from engine.combine import merge_all, of_row
from engine.trial import BEGIN_MS
from schemas.rollup_wire import Row

SEED = 20261126
Scenario = Callable[[Platform], Fault | None]

pytestmark = pytest.mark.timeout(180)


def of_kind(kind: Scenario) -> Verdict:
    return judged(KINDS.index(kind), SEED)


@pytest.mark.parametrize("kind", HABITS, ids=[one.__name__ for one in HABITS])
def test_what_operators_do_every_day_raises_nothing(kind: Scenario) -> None:
    assert of_kind(kind) == Verdict(kind.__name__, has_fault=False)


@pytest.mark.parametrize("kind", FAULTS, ids=[one.__name__ for one in FAULTS])
def test_every_fault_is_found_and_nothing_else_is_told(kind: Scenario) -> None:
    verdict = of_kind(kind)
    assert (verdict.name, verdict.has_fault, verdict.false) == (kind.__name__, True, [])
    assert verdict.true >= 1
    assert verdict.delay_s is not None
    assert verdict.delay_s < 900


@pytest.mark.parametrize("kind", KINDS, ids=[one.__name__ for one in KINDS])
def test_a_scenario_changes_what_is_sent(kind: Scenario) -> None:
    usual, changed = (Platform(np.random.default_rng(3), 4_800) for _ in range(2))
    fault = kind(changed)
    assert fault is None or QUIET_S <= fault.from_s < fault.to_s <= changed.seconds
    usual.noise, changed.noise = np.random.default_rng(4), np.random.default_rng(4)
    usual.machines, usual.only_cpu = changed.machines, changed.only_cpu
    assert list(usual.samples()) != list(changed.samples())


def test_figures_count_alerts_and_faults() -> None:
    found = Verdict("crash", has_fault=True, true=1, delay_s=70.0)
    told = [found, replace(found, delay_s=None, true=0), Verdict("rush", has_fault=False, false=["cpu-busy web-1"])]
    figures = {one.name: one for one in section(told).figures}
    assert figures["true alerts"].value == 1
    assert figures["false discovery rate"].value == 50
    assert figures["false discovery rate"].met is False
    assert figures["false discovery rate, upper bound"].value > 50
    assert figures["faults that are found"].value == 50
    assert figures["faults that are found, lower bound"].value < 50
    assert figures["detection, p95"].value == 70


def test_a_percentile_is_surely_below_a_later_one() -> None:
    assert p95_upper_bound([float(number) for number in range(1, 601)]) == 579.0
    assert p95_upper_bound([3.0, 4.0]) == 4.0


def test_a_service_that_begins_anew_counts_from_zero() -> None:
    platform = Platform(np.random.default_rng(1), 100, begun_s={COUNTING: 50})
    counts = [
        one.value
        for one in platform.samples()
        if one.kind == "cumulative" and one.dimensions["route"] == "/" and one.dimensions["outcome"] == "ok"
    ]
    assert counts[:5] == sorted(counts[:5])
    assert counts[5] < counts[0] * 2 < counts[4]
    assert counts[5:] == sorted(counts[5:])


@pytest.mark.parametrize("platform", [0, 1], ids=["normal", "heavy"])
def test_quiet_load_raises_nothing(platform: int) -> None:
    assert quiet.false_alerts(platform, days=0.25, seed=SEED) == []


def test_load_that_is_not_quiet_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "FAILING", 0.2)
    found = quiet.false_alerts(0, days=1 / 24, seed=SEED)
    assert {one.split()[0] for one in found} >= {"requests-failing"}


def test_rows_of_quiet_load_are_of_every_series_and_each_minute() -> None:
    minutes = list(Load(np.random.default_rng(1), heavy=True, begin_ms=BEGIN_MS).minutes(2))
    assert [at_ms for at_ms, _ in minutes] == [BEGIN_MS + number * 60_000 for number in range(1, 121)]
    for at_ms, every in minutes:
        rows = [row for one in every for row in one.rows]
        assert len({row.series for row in rows}) == len(rows) == SERIES
        assert {row.start_ms for row in rows} == {at_ms - 60_000}
    assert {rule.metric for rule in rules() if hasattr(rule, "metric")} >= {one.metric for one in minutes[0][1]}


def test_a_row_of_quiet_load_is_coherent() -> None:
    _, every = next(Load(np.random.default_rng(1), heavy=False, begin_ms=BEGIN_MS).minutes(1))
    rows: list[Row] = [row for one in every for row in one.rows]
    for row in rows:
        assert row.min <= min(row.first, row.last) <= max(row.first, row.last) <= row.max
        assert row.n * row.min <= row.sum * (1 + 1e-9) <= row.n * row.max * (1 + 2e-9)
    sketched = [row for row in rows if row.positive]
    assert [sum(row.positive.values()) for row in sketched] == [row.n for row in sketched] == [18, 18]
    whole = merge_all([of_row(row) for row in sketched])
    assert whole is not None
    assert whole.min <= (whole.quantile(0.5) or 0.0) <= whole.max


def test_the_bound_of_a_rate_is_that_of_the_poisson_distribution() -> None:
    assert quiet.poisson_upper_bound(0) == pytest.approx(2.9957, abs=1e-4)
    assert quiet.poisson_upper_bound(10) == pytest.approx(16.9622, abs=1e-4)


def test_false_alerts_are_told_by_series_and_day() -> None:
    figure, bound = quiet.section([["cpu-busy web-1 on day 0.50"], []], days=10.0).figures
    assert figure.value == 1 / (2 * SERIES * 10)
    assert figure.met is True
    assert bound.value == pytest.approx(4.7439 / (2 * SERIES * 10), rel=1e-4)
