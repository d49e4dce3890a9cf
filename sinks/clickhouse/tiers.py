"""The coarser tiers: a bucket that changed is recomputed from the finer tier, and replaced.

An incremental view would add every snapshot of a row. A recomputed bucket is a function of what it reads, and its
`ver`, the sum of the `ver` read, only grows: so repeats, crashes and late rows end in the same content.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from connect.clickhouse import Store


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier, and the finer one that it is computed from."""

    table: str
    finer: str
    size_ms: int


MINUTES = Tier("watchkeeper_store.rollups_1m", "watchkeeper_store.rollups", 60_000)
HOURS = Tier("watchkeeper_store.rollups_1h", "watchkeeper_store.rollups_1m", 3_600_000)
DAYS = Tier("watchkeeper_store.rollups_1d", "watchkeeper_store.rollups_1h", 86_400_000)

# The tables' names are ours; the values are bound by the server.
_RECOMPUTE = """
INSERT INTO {table}
    (metric, series, window_start, ver, source, dimensions, kind, n, sum, min, max, first, first_ms, last, last_ms,
     increase, zero, positive, negative)
SELECT
    metric, series, bucket, ver_, source_, dimensions_, kind_, n_, sum_, min_, max_, first_, first_ms_, last_, last_ms_,
    arraySum(arrayMap(p -> p.5, pieces)) + arraySum(arrayMap(
        (a, b) -> if(b.1 < a.2, 0, if(b.3 >= a.4, b.3 - a.4, b.3)), arrayPopBack(pieces), arrayPopFront(pieces))),
    zero_, positive_, negative_
FROM
(
    SELECT
        metric, series,
        fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(window_start), {size}) * {size}, 'UTC') AS bucket,
        sum(r.ver) AS ver_, any(r.source) AS source_, any(r.dimensions) AS dimensions_, any(r.kind) AS kind_,
        sum(r.n) AS n_,
        arraySum(arrayMap(p -> p.2, arraySort(groupArray(((r.window_start, {order}), r.sum))))) AS sum_,
        min(r.min) AS min_, max(r.max) AS max_,
        argMin(r.first, (r.first_ms, {order})) AS first_, min(r.first_ms) AS first_ms_,
        argMax(r.last, (r.last_ms, {order})) AS last_, max(r.last_ms) AS last_ms_,
        arraySort(groupArray((r.first_ms, r.last_ms, r.first, r.last, r.increase))) AS pieces,
        sum(r.zero) AS zero_, sumMap(r.positive) AS positive_, sumMap(r.negative) AS negative_
    FROM {finer} AS r FINAL
    WHERE window_start >= fromUnixTimestamp64Milli({{from_ms:Int64}})
      AND window_start < fromUnixTimestamp64Milli({{to_ms:Int64}})
    GROUP BY metric, series, bucket
)
"""


def recompute(store: Store, tier: Tier, buckets_ms: Iterable[int]) -> None:
    """Recomputes whole buckets, named by their starts in epoch milliseconds; neighbours in one statement.

    Raises:
        StoreUnavailable: ClickHouse is away; call again.
    """
    order = "r.topic, r.epoch, r.partition, r.segment" if tier is MINUTES else "r.window_start"
    sql = _RECOMPUTE.format(table=tier.table, finer=tier.finer, size=tier.size_ms, order=order)
    for from_ms, to_ms in _runs(sorted(set(buckets_ms)), tier.size_ms):
        store.command(sql, parameters={"from_ms": from_ms, "to_ms": to_ms})


def _runs(starts: list[int], size_ms: int) -> list[tuple[int, int]]:
    """Neighbouring buckets as ranges."""
    runs: list[tuple[int, int]] = []
    for start in starts:
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], start + size_ms)
        else:
            runs.append((start, start + size_ms))
    return runs
