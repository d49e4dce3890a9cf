"""Series against a plain reckoning of the same rows, in every tier."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

import pytest

from analysis.questions import Aggregate, Answer, Question, Range
from analysis.series import answer
from analysis.tiers import TIERS, step_for, tiers_for
from connect.clickhouse import Store
from engine.combine import Combined
from engine.sketch import quantile
from schemas.samples import Kind
from sinks.clickhouse.tiers import DAYS, HOURS, MINUTES
from sinks.clickhouse.tiers import recompute as compute
from tests.sinks.rollups import BASE_MS, HOUR_MS, Placed, coarser, insert, minutes_of, random_rows, windows_of

MINUTE_MS, DAY_MS = 60_000, 86_400_000
Steps = dict[int, float]


@pytest.fixture(scope="module")
def placed() -> list[Placed]:
    return random_rows(5)


@pytest.fixture
def past(cleared: Store, placed: list[Placed]) -> Store:
    insert(cleared, placed)
    for tier in (MINUTES, HOURS, DAYS):
        from_ms = BASE_MS - BASE_MS % DAY_MS
        compute(cleared, tier, from_ms, from_ms + 2 * DAY_MS)
    return cleared


def spans(step_ms: int) -> Range:
    from_ms = BASE_MS - BASE_MS % step_ms
    return Range(from_ms=from_ms, to_ms=max(BASE_MS + HOUR_MS, from_ms + step_ms), step_ms=step_ms)


def shown(told: Answer, span: Range) -> dict[tuple[str, ...], Steps]:
    return {
        tuple(one.labels.values()): {
            at_ms: value for at_ms, value in zip(span.starts_ms, one.values, strict=True) if value is not None
        }
        for one in told.series
    }


def of_metric(rows: Iterable[Placed], kind: Kind, step_ms: int) -> Mapping[tuple[str, int], Combined]:
    tier = next(tiers_for(step_ms))
    windows = windows_of(rows) if tier.name == "10s" else minutes_of(rows)
    if tier.name in ("1h", "1d"):
        windows = coarser(windows, HOUR_MS)
    if tier.name == "1d":
        windows = coarser(windows, DAY_MS)
    mine = {one.row.series: one.row.source for one in rows if one.metric == f"m.{kind.value}"}
    return {(mine[series], at_ms): one for (series, at_ms), one in sorted(windows.items()) if series in mine}


def reckoned(rows: Iterable[Placed], kind: Kind, aggregate: Aggregate, step_ms: int) -> dict[str, Steps]:
    """Of each source what each step must show: every source has one series of a metric."""
    steps: dict[tuple[str, int], list[Combined]] = defaultdict(list)
    before: dict[str, Combined] = {}
    grown: dict[tuple[str, int], float] = defaultdict(float)
    for (source, at_ms), one in of_metric(rows, kind, step_ms).items():
        key = (source, at_ms // step_ms * step_ms)
        steps[key].append(one)
        joined = 0.0
        if (last := before.get(source)) is not None:
            joined = one.first - last.last if one.first >= last.last else one.first
        grown[key] += one.sum if kind is Kind.DELTA else one.increase + joined
        before[source] = one
    found: dict[str, Steps] = defaultdict(dict)
    for (source, at_ms), some in steps.items():
        found[source][at_ms] = _one(some, kind, aggregate, grown[source, at_ms], step_ms)
    return found


def _one(some: list[Combined], kind: Kind, aggregate: Aggregate, grown: float, step_ms: int) -> float:
    total, n = math.fsum(one.sum for one in some), sum(one.n for one in some)
    q = aggregate.quantile
    if q is not None:
        positive, negative = _added(one.positive for one in some), _added(one.negative for one in some)
        found = quantile(q, sum(one.zero for one in some), positive, negative)
        assert found is not None
        return found
    return {
        Aggregate.AVG: total / n,
        Aggregate.SUM: total if kind is Kind.DELTA else total / n,
        Aggregate.MIN: min(one.min for one in some),
        Aggregate.MAX: max(one.max for one in some),
        Aggregate.COUNT: float(n),
        Aggregate.LAST: max(some, key=lambda one: one.last_ms).last,
        Aggregate.INCREASE: grown,
        Aggregate.RATE: grown / (step_ms / 1000),
    }[aggregate]


def _added(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    whole: dict[int, int] = defaultdict(int)
    for one in counts:
        for bucket, count in one.items():
            whole[bucket] += count
    return dict(whole)


GROWING = (Aggregate.RATE, Aggregate.INCREASE)
OF_KIND = {
    Kind.GAUGE: [one for one in Aggregate if one not in GROWING],
    Kind.DELTA: [Aggregate.SUM, Aggregate.COUNT, *GROWING],
    Kind.CUMULATIVE: [Aggregate.LAST, *GROWING],
    Kind.SKETCH: [Aggregate.AVG, Aggregate.P50, Aggregate.P99_9],
}


@pytest.mark.parametrize("step_ms", [10_000, 30_000, MINUTE_MS, 5 * MINUTE_MS, HOUR_MS, DAY_MS])
def test_every_aggregate_of_every_kind_is_what_the_rows_say(past: Store, placed: list[Placed], step_ms: int) -> None:
    span = spans(step_ms)
    for kind, aggregates in OF_KIND.items():
        for aggregate in aggregates:
            told = answer(past, Question(metric=f"m.{kind.value}", aggregate=aggregate, group_by=["source"]), span)
            wanted = reckoned(placed, kind, aggregate, step_ms)
            found = shown(told, span)
            assert {one for (one,) in found} == set(wanted)
            for source, steps in wanted.items():
                assert found[source,] == pytest.approx(steps, rel=1e-9, abs=1e-9), (kind, aggregate, source)


def test_what_is_not_grouped_by_is_one_series_of_all(past: Store) -> None:
    span = spans(MINUTE_MS)
    (whole,) = answer(past, Question(metric="m.delta", aggregate=Aggregate.SUM), span).series
    parts = answer(past, Question(metric="m.delta", aggregate=Aggregate.SUM, group_by=["source"]), span).series
    assert whole.labels == {}
    for total, *some in zip(whole.values, *(one.values for one in parts), strict=True):
        present = [value for value in some if value is not None]
        assert (total is None) is (not present)
        assert total is None or total == pytest.approx(sum(present), rel=1e-9)


@pytest.mark.parametrize(
    ("where", "sources"),
    [
        (["source=web-1"], {"web-1"}),
        (["source!=web-1"], {"wéb-2"}),
        (['source=~"web.*"'], {"web-1"}),
        (['source=~"eb"'], set()),
        (['source!~"web.*"'], {"wéb-2"}),
        (["mode=user"], {"web-1", "wéb-2"}),
        (["mode=user", "source=web-1"], {"web-1"}),
        (["mode!=user"], set()),
        (["nothing="], {"web-1", "wéb-2"}),
        (['source="\') OR 1=1 --"'], set()),
        (["a'b\\=x"], set()),
    ],
)
def test_matchers_choose_series(past: Store, where: list[str], sources: set[str]) -> None:
    question = Question.model_validate({"metric": "m.gauge", "where": where, "group_by": ["source"]})
    assert {one.labels["source"] for one in answer(past, question, spans(MINUTE_MS)).series} == sources


def test_the_greatest_series_come_first_and_the_others_are_counted(past: Store) -> None:
    span, question = spans(HOUR_MS), Question(metric="m.gauge", group_by=["source"])
    both = answer(past, question, span)
    one = answer(past, question.model_copy(update={"limit": 1}), span)
    means = [sum(value for value in series.values if value is not None) for series in both.series]
    assert (len(both.series), both.left_out, means) == (2, 0, sorted(means, reverse=True))
    assert (one.series[0], one.left_out) == (both.series[0], 1)


@pytest.mark.parametrize("aggregate", ["avg", "sum", "max", "rate"])
def test_the_query_that_is_shown_gives_the_same_numbers_from_the_public_views(past: Store, aggregate: str) -> None:
    kind = "delta" if aggregate in ("sum", "rate") else "gauge"
    question = Question.model_validate(
        {"metric": f"m.{kind}", "aggregate": aggregate, "group_by": ["source", "mode"], "where": ["mode!='"]}
    )
    for step_ms in (10_000, MINUTE_MS):
        span = spans(step_ms)
        told = answer(past, question, span)
        assert "watchkeeper_store" not in told.query
        rows = past.rows(told.query)
        found: dict[tuple[str, ...], Steps] = defaultdict(dict)
        for labels, at_ms, value in rows:
            found[tuple(labels)][at_ms] = value
        wanted = shown(told, span)
        assert found.keys() == wanted.keys()
        for labels, steps in wanted.items():
            assert found[labels] == pytest.approx(steps, rel=1e-9)


def test_of_an_unknown_metric_there_is_nothing(past: Store) -> None:
    assert answer(past, Question(metric="nothing"), spans(MINUTE_MS)).series == []


def test_the_tier_is_the_coarsest_that_the_step_is_made_of() -> None:
    names = {step_ms: next(tiers_for(step_ms)).name for step_ms in (10_000, 30_000, 60_000, 300_000, HOUR_MS, DAY_MS)}
    assert names == {10_000: "10s", 30_000: "10s", 60_000: "1m", 300_000: "1m", HOUR_MS: "1h", DAY_MS: "1d"}
    assert all(DAY_MS % tier.window_ms == 0 for tier in TIERS)


@pytest.mark.parametrize(
    ("range_s", "step_s"), [(3_600, 10), (6 * 3_600, 60), (86_400, 300), (7 * 86_400, 1_800), (35 * 86_400, 10_800)]
)
def test_the_step_is_one_that_people_read_easily(range_s: int, step_s: int) -> None:
    assert step_for(range_s * 1000, 400) == step_s * 1000


@pytest.mark.parametrize(
    "bad",
    [
        {"from_ms": 10, "to_ms": 10},
        {"from_ms": 10, "to_ms": 5},
        {"from_ms": 0, "to_ms": 3_661 * DAY_MS},
        {"from_ms": 0, "to_ms": DAY_MS, "step_ms": 10_000},
        {"from_ms": 0, "to_ms": DAY_MS, "step_ms": 61_000},
    ],
)
def test_ranges_that_make_no_chart_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must|more than"):
        Range(**bad)
