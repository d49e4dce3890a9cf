"""Rollups of the past as rules read them: what the readers of the log would have had, put together the same way."""

from collections.abc import Mapping
from typing import Any

import pytest

from connect.clickhouse import Store
from engine.combine import Combined, combine
from engine.grids import NUMBERS, Span
from schemas.rollup_wire import Row
from sinks.clickhouse.past_rollups import MINUTES, TIERS, WINDOWS, PastRollups, Tier, recorded
from sinks.clickhouse.tiers import DAYS, HOURS, recompute
from sinks.clickhouse.tiers import MINUTES as RECOMPUTED
from tests.sinks.rollups import BASE_MS, HOUR_MS, Placed, insert, minutes_of, newest, random_rows, windows_of

METRICS = ("m.gauge", "m.delta", "m.cumulative")
TO_MS = BASE_MS + 600_000


def put(store: Store, rows: list[Placed]) -> None:
    insert(store, rows)
    for tier in (RECOMPUTED, HOURS, DAYS):
        starts = [tier.bucket(one.row.start_ms) for one in rows]
        for from_ms, to_ms in tier.ranges(starts):
            recompute(store, tier, from_ms, to_ms)


def gridded(store: Store, tier: Tier) -> Mapping[tuple[str, str, int], Mapping[str, Any]]:
    """What grids say of each window, by metric, source and start."""
    past = PastRollups(store, BASE_MS, TO_MS)
    span = Span(BASE_MS - 120_000, 720_000 // tier.window_ms, tier.window_ms)
    found = {}
    for metric in METRICS:
        grid = past.grid(tier, metric, span, [*NUMBERS])
        for row, series in enumerate(grid.series):
            for start_ms, one in grid.hold(row, 0, span.windows).each(span.from_ms, span.to_ms):
                found[metric, series.labels["source"], start_ms] = told(one)
    return found


def told(one: Combined) -> Mapping[str, Any]:
    exact = {name: getattr(one, name) for name in ("n", "min", "max", "first", "first_ms", "last", "last_ms")}
    return {**exact, **{name: pytest.approx(getattr(one, name)) for name in ("sum", "increase")}}


def by_source(rows: list[Placed], combined: Mapping[tuple[str, int], Combined]) -> Any:
    names = {one.row.series: (one.metric, one.row.source) for one in rows}
    found = {(*names[series], start_ms): told(one) for (series, start_ms), one in combined.items()}
    return {key: one for key, one in found.items() if key[0] in METRICS}


@pytest.mark.parametrize("seed", range(2))
def test_grids_hold_every_window_in_its_newest_version_its_parts_put_together(cleared: Store, seed: int) -> None:
    rows = random_rows(seed, windows=12)
    put(cleared, rows)
    assert gridded(cleared, WINDOWS) == by_source(rows, windows_of(rows))
    assert gridded(cleared, MINUTES) == by_source(rows, minutes_of(rows))


def test_rows_come_in_order_with_their_sketches(cleared: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(3, windows=12)
    put(cleared, rows)
    # A few windows at a time, so that they come in several answers.
    monkeypatch.setattr("sinks.clickhouse.past_rollups.MAX_ROWS", 8)
    held: dict[tuple[str, int], dict[Any, Row]] = {}
    times = []
    for start_ms, messages in PastRollups(cleared, BASE_MS, TO_MS).rows(WINDOWS, METRICS, BASE_MS, TO_MS):
        times.append(start_ms)
        for one in messages:
            for row in one.rows:
                identity = (row.start_ms, one.topic, one.epoch, one.partition, one.segment)
                known = held.setdefault((row.series, row.start_ms), {})
                if identity not in known or known[identity].ver < row.ver:
                    known[identity] = row
    assert times == sorted(set(times))
    expected = {key: one for key, one in windows_of(rows).items() if key[0] in series_of_metrics(rows)}
    assert {key: combine(several.items()) for key, several in held.items()} == expected


def series_of_metrics(rows: list[Placed]) -> set[str]:
    return {one.row.series for one in newest(rows).values() if one.metric in METRICS}


def test_hours_without_anything_are_times_in_which_the_platform_was_off(cleared: Store) -> None:
    rows = random_rows(4, windows=3)
    earlier = [one._replace(row=Row(**{**fields(one.row), "start_ms": one.row.start_ms - 4 * HOUR_MS})) for one in rows]
    put(cleared, [*rows, *earlier])
    minute_ms = BASE_MS - BASE_MS % 60_000
    stretches = [(minute_ms - 4 * HOUR_MS, minute_ms - 4 * HOUR_MS + 60_000), (minute_ms, minute_ms + 60_000)]
    assert recorded(cleared, BASE_MS - 9 * HOUR_MS, TO_MS) == stretches
    assert recorded(cleared, BASE_MS - HOUR_MS, TO_MS) == stretches[1:]
    assert recorded(cleared, BASE_MS - 9 * HOUR_MS, BASE_MS - 8 * HOUR_MS) == []


def fields(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def test_of_a_metric_that_nothing_is_known_of_there_is_nothing(cleared: Store) -> None:
    past = PastRollups(cleared, BASE_MS, TO_MS)
    assert past.series("none") == 0
    for tier in TIERS.values():
        span = Span(BASE_MS - BASE_MS % tier.window_ms, 10, tier.window_ms)
        assert past.grid(tier, "none", span, ["sum"]).present.shape == (0, 10)
