"""The sink: what stands on the topics is in ClickHouse, once."""

import time
from pathlib import Path

import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from tests.sinks.rollups import coarser, minutes_of, random_rows, windows_of
from tests.sinks.running import pipeline
from tests.sinks.test_metrics_views import check

GOLDEN = Path(__file__).parent.parent / "golden"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

pytestmark = pytest.mark.asyncio


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def count(store: Store, table: str) -> int:
    return int(store.rows(f"SELECT count() FROM {table}")[0][0])


async def test_rollup_rows_land_and_are_what_combine_makes_of_them_in_every_tier(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    placed = random_rows(1)
    expected = windows_of(placed)
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        for partition in (0, 1):
            await topics.send("metrics.rollups", (one.message() for one in placed[partition::2]), partition=partition)
        await sink.until("rows", lambda: sink.figure("rows_total") == len(placed))
        assert sink.figure("newest_rollup_ms") == max(one.row.start_ms for one in placed) + 10_000
        assert sink.figure("lag_records") == 0
    check(store, "metrics_10s", expected)
    hours = coarser(minutes_of(placed), HOUR_MS)
    check(store, "metrics_1m", minutes_of(placed))
    check(store, "metrics_1h", hours)
    check(store, "metrics_1d", coarser(hours, DAY_MS))
