"""The views of metrics against `engine.combine` and `engine.sketch`: the same numbers, to the last bit."""

import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect.clickhouse import Store
from engine.combine import Combined
from engine.sketch import quantile
from schemas.samples import Kind
from sinks.clickhouse.tiers import DAYS, HOURS, MINUTES, Tier, recompute
from tests.sinks.rollups import (
    BASE_MS,
    HOUR_MS,
    Placed,
    coarser,
    insert,
    minutes_of,
    random_row,
    random_rows,
    shown,
    windows_of,
)

DAY_MS = 86_400_000
SECONDS = {"metrics_10s": 10, "metrics_1m": 60, "metrics_1h": 3_600, "metrics_1d": 86_400}


def refresh(store: Store, *tiers: Tier) -> None:
    for tier in tiers:
        from_ms = BASE_MS - BASE_MS % DAY_MS
        recompute(store, tier, from_ms, from_ms + 2 * DAY_MS)


def close(found: float | None, wanted: float | None) -> bool:
    """Equal but for the last bit: that of a power differs between C libraries."""
    if found is None or wanted is None:
        return found is wanted
    return math.isclose(found, wanted, rel_tol=1e-15)


def check(store: Store, view: str, expected: dict[tuple[str, int], Combined]) -> None:
    """Every row of the view is the combined one, and there is no other."""
    rows = shown(store, view)
    assert set(rows) == set(expected)
    for key, want in expected.items():
        row = rows[key]
        exact = ("n", "sum", "min", "max", "first", "first_ms", "last", "last_ms")
        assert {name: row[name] for name in exact} == {name: getattr(want, name) for name in exact}, key
        assert row["avg"] == want.sum / want.n
        kind = Kind(row["kind"])
        assert row["increase"] == {Kind.CUMULATIVE: want.increase, Kind.DELTA: want.sum}.get(kind)
        seconds = (want.last_ms - want.first_ms) / 1000
        if kind is Kind.CUMULATIVE:
            assert row["rate"] == (want.increase / seconds if seconds else None)
        else:
            assert row["rate"] == (want.sum / SECONDS[view] if kind is Kind.DELTA else None)
        for name, q in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
            assert close(row[name], want.quantile(q)), (key, name)


@pytest.mark.parametrize("seed", range(3))
def test_windows_and_all_tiers_show_what_combine_makes_of_the_rows(store: Store, seed: int) -> None:
    placed = random_rows(seed)
    insert(store, placed)
    refresh(store, MINUTES, HOURS, DAYS)

    minutes = minutes_of(placed)
    hours = coarser(minutes, HOUR_MS)
    assert len(windows_of(placed)) > len(minutes) > len(hours)
    check(store, "metrics_10s", windows_of(placed))
    check(store, "metrics_1m", minutes)
    check(store, "metrics_1h", hours)
    check(store, "metrics_1d", coarser(hours, DAY_MS))


def test_a_row_is_replaced_by_a_greater_ver_only_in_whatever_order_they_come(store: Store) -> None:
    numbers = random.Random(7)
    old, new = (Placed("m.gauge", "t", "e", 0, 0, random_row(numbers, Kind.GAUGE, BASE_MS, ver)) for ver in (5, 9))
    insert(store, [new])
    insert(store, [old])
    check(store, "metrics_10s", windows_of([new]))

    store.command("OPTIMIZE TABLE watchkeeper_store.rollups FINAL")
    insert(store, [old, new])
    check(store, "metrics_10s", windows_of([new]))


def test_late_rows_reach_every_tier_when_their_buckets_are_computed_again(store: Store) -> None:
    placed = random_rows(11)
    early, late = placed[: len(placed) // 2], placed[len(placed) // 2 :]
    insert(store, early)
    refresh(store, MINUTES, HOURS, DAYS)
    insert(store, late)
    refresh(store, MINUTES, HOURS, DAYS)

    hours = coarser(minutes_of(placed), HOUR_MS)
    check(store, "metrics_1m", minutes_of(placed))
    check(store, "metrics_1d", coarser(hours, DAY_MS))


def test_a_tier_that_was_computed_from_fewer_rows_never_replaces_one_that_was_computed_from_more(store: Store) -> None:
    placed = random_rows(12)
    insert(store, placed)
    refresh(store, MINUTES)
    complete = store.rows("SELECT * FROM watchkeeper_store.rollups_1m FINAL ORDER BY ALL")

    store.command("TRUNCATE TABLE watchkeeper_store.rollups")
    insert(store, placed[: len(placed) // 2])
    refresh(store, MINUTES)

    assert store.rows("SELECT * FROM watchkeeper_store.rollups_1m FINAL ORDER BY ALL") == complete


def test_the_hashes_of_the_records_go_up_through_the_tiers(store: Store) -> None:
    insert(store, random_rows(13))
    refresh(store, MINUTES, HOURS, DAYS)

    of = "SELECT sum(n), sum(h_sum), groupBitXor(h_xor) FROM watchkeeper_store"
    whole = store.rows(f"{of}.rollups FINAL")
    for table in ("rollups_1m", "rollups_1h", "rollups_1d"):
        assert store.rows(f"{of}.{table} FINAL") == whole, table


def test_a_question_about_one_metric_and_hour_reads_little_of_a_large_table(store: Store) -> None:
    day = f"toStartOfDay(fromUnixTimestamp64Milli({BASE_MS}, 'UTC'))"
    store.command(
        "INSERT INTO watchkeeper_store.rollups (rollup, metric, series, window_start, n)"
        f" SELECT '10s.v1', concat('m', toString(number % 20)), number % 40, {day} + intDiv(number, 40) * 10, 1"
        " FROM numbers(345600)"
    )
    asked = (
        "EXPLAIN indexes = 1 SELECT avg(avg) FROM watchkeeper.metrics_10s WHERE metric = 'm7'"
        f" AND window_start >= {day} + INTERVAL 12 HOUR AND window_start < {day} + INTERVAL 13 HOUR"
    )
    plan = "\n".join(line for (line,) in store.rows(asked))
    granules = [line.split()[-1] for line in plan.splitlines() if "Granules:" in line and "/" in line]
    read, of = map(int, granules[-1].split("/"))
    assert read <= 4, plan
    assert of >= 40, plan


BUCKETS = st.dictionaries(st.integers(-500, 500), st.integers(1, 50), max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(sketches=st.lists(st.tuples(st.integers(0, 5), BUCKETS, BUCKETS), min_size=1, max_size=10))
def test_every_sketch_has_the_quantiles_that_the_engine_gives(
    store: Store, sketches: list[tuple[int, dict[int, int], dict[int, int]]]
) -> None:
    store.command("TRUNCATE TABLE watchkeeper_store.rollups")
    store.insert(
        "watchkeeper_store.rollups",
        {
            "rollup": ["10s.v1"] * len(sketches),
            "kind": ["sketch"] * len(sketches),
            "series": list(range(len(sketches))),
            "window_start": [BASE_MS] * len(sketches),
            "n": [1] * len(sketches),
            "zero": [zero for zero, _, _ in sketches],
            "positive": [positive for _, positive, _ in sketches],
            "negative": [negative for _, _, negative in sketches],
        },
    )
    rows = store.rows("SELECT p50, p90, p95, p99 FROM watchkeeper.metrics_10s ORDER BY series")

    for (zero, positive, negative), found in zip(sketches, rows, strict=True):
        wanted = [quantile(q, zero, positive, negative) for q in (0.5, 0.9, 0.95, 0.99)]
        assert all(map(close, found, wanted)), (found, wanted)
