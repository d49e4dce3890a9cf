"""Every tier against a plain recompute from the raw samples: through the fold and the sink, whatever happens there.

The log lies around midnight and around an hour: samples come late, out of order and twice, workers crash and are
replaced, zombies publish what they had ready, counters begin anew, and tiers are computed while rows are missing.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from connect.clickhouse import Store
from connect.config import ClickHouseConfig
from schemas.topics import ROLLUPS
from sinks.clickhouse.metrics import Metrics
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.tables import tables
from sinks.clickhouse.tiers import Tiers
from sinks.clickhouse.writer import Writer
from tests.sinks.raw import Raw, published, raw_log, recomputed
from tests.sinks.rollups import Message, shown

DAY_MS = 86_400_000
MIDNIGHT_MS = (time.time_ns() // 1_000_000 // DAY_MS - 2) * DAY_MS


class Tier(NamedTuple):
    """A view, the table behind it, and the length of a bucket."""

    view: str
    table: str
    size_ms: int


TIERS = (
    Tier("metrics_10s", "combined_10s", 10_000),
    Tier("metrics_1m", "rollups_1m FINAL", 60_000),
    Tier("metrics_1h", "rollups_1h FINAL", 3_600_000),
    Tier("metrics_1d", "rollups_1d FINAL", DAY_MS),
)
EACH = pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.view)


class Filled(NamedTuple):
    """A ClickHouse that has taken in a raw log."""

    store: Store
    raw: Raw


@pytest.fixture(scope="module", params=[1, 2])
def filled(request: pytest.FixtureRequest, clickhouse: ClickHouseConfig) -> Iterator[Filled]:
    store = Store(clickhouse)
    for database in ("watchkeeper", "watchkeeper_store"):
        store.command(f"DROP DATABASE IF EXISTS {database}")
    migrate(store)
    raw = raw_log(request.param, MIDNIGHT_MS)
    asyncio.run(_fill(store, raw, random.Random(request.param)))
    yield Filled(store, raw)
    store.close()


async def _fill(store: Store, raw: Raw, numbers: random.Random) -> None:
    """Workers of both partitions side by side, and a sink that computes tiers now and then, and replays some rows."""
    writer = Writer(store, Metrics(CollectorRegistry()))
    tiers, table = Tiers(writer, writer._metrics), tables()[ROLLUPS.name]
    assert table.day is not None
    workers = [published(log, partition, numbers) for partition, log in enumerate(raw.logs)]
    waiting: list[bytes] = []
    replayed: list[bytes] = []
    while workers or waiting:
        worker = numbers.choice(workers) if workers else iter(())
        rows = next(worker, None)
        if rows is None and workers:
            workers.remove(worker)
        waiting += rows or []
        if len(waiting) < 1_500 and workers:
            continue
        numbers.shuffle(waiting)
        batch = table.read([Message(value) for value in (*waiting, *numbers.sample(replayed, len(replayed) // 5))], "")
        replayed, waiting = waiting, []
        assert not batch.refused
        assert await writer.insert(table, batch) == []
        tiers.stored(np.unique(batch.times_ms(table)).tolist(), {})
        await tiers.refresh(all_tiers=numbers.random() < 0.5)
    await tiers.refresh(all_tiers=True)


@EACH
def test_every_bucket_holds_what_the_raw_samples_give(filled: Filled, tier: Tier) -> None:
    expected = recomputed(filled.raw.values, tier.size_ms)
    rows = shown(filled.store, tier.view)

    assert rows.keys() == expected.keys()
    for key, bucket in expected.items():
        wanted = bucket.wanted()
        assert {name: rows[key][name] for name in wanted} == wanted, (key, bucket)


@EACH
def test_every_quantile_is_within_one_percent_of_the_raw_value_of_its_rank(filled: Filled, tier: Tier) -> None:
    rows = shown(filled.store, tier.view)

    for key, bucket in recomputed(filled.raw.values, tier.size_ms).items():
        wanted = bucket.quantiles()
        if wanted is None:
            assert [rows[key][name] for name in ("p50", "p90", "p95", "p99")] == [None] * 4
            continue
        for name, value in wanted.items():
            assert abs(rows[key][name] - value) <= abs(value) * 0.01 * (1 + 1e-9), (key, name)


@EACH
def test_every_bucket_carries_the_hashes_of_its_records(filled: Filled, tier: Tier) -> None:
    sql = f"SELECT series, toUnixTimestamp64Milli(window_start), h_sum, h_xor FROM watchkeeper_store.{tier.table}"
    found = {(f"{series:016x}", start_ms): hashes for series, start_ms, *hashes in filled.store.rows(sql)}

    expected = recomputed(filled.raw.values, tier.size_ms)
    assert found == {key: list(bucket.hashes()) for key, bucket in expected.items()}


def test_the_log_holds_what_makes_it_hard(filled: Filled) -> None:
    """Late samples, repeats, restarts of counters, and buckets on both sides of midnight and of the hour."""
    records = [value for log in filled.raw.logs for value in log if not value.startswith(b'{"tick":')]
    counters = [one for one in filled.raw.values if one.kind == "cumulative" and one.source == "web-1"]

    assert len(records) > len({value.split(b'"sent_ms"')[0] for value in records})
    assert sum(after.reading < before.reading for before, after in pairwise(counters)) == 3
    assert {start_ms - MIDNIGHT_MS for _, start_ms in recomputed(filled.raw.values, DAY_MS)} == {-DAY_MS, 0}
    assert len({start_ms for _, start_ms in recomputed(filled.raw.values, 3_600_000)}) == 3
