"""Holds the side tables of a replay against the live ones."""

from collections.abc import Mapping, Sequence
from math import lcm
from typing import Any, NamedTuple

from connect.clickhouse import Store
from engine.fold_config import FoldConfig
from engine.replay import Covered
from schemas.matchers import EXTERNAL
from schemas.rollups import ROLLUP_10S
from schemas.rule_base import WINDOW_MS
from sinks.clickhouse.rollups import COLUMNS

HOUR_MS = 3_600_000
PAST_MS = 36 * 24 * HOUR_MS
"""How long before the log's time a window may start: see the bound of a record's time."""

LAST_SEGMENT = 2**63 - 1
_EQUAL = f"(count(), sum(sipHash64({', '.join(f'toString(r.{name})' for name in COLUMNS)})))"
_ALIKE = "(sum(r.n), sum(r.zero), min(r.min), max(r.max), sum(r.h_sum), groupBitXor(r.h_xor))"
"""What does not depend on how values were grouped into windows."""

_WITHIN = """
    arrayExists(
        (topic, epoch, partition, first, end) ->
            r.topic = topic AND r.epoch = epoch AND r.partition = partition AND r.segment >= first AND r.segment < end,
        {topics:Array(String)}, {epochs:Array(String)}, {partitions:Array(UInt32)},
        {firsts:Array(UInt64)}, {ends:Array(UInt64)}
    )
    AND r.window_start >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND r.window_start < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
"""
_SPAN = """
SELECT DISTINCT intDiv(toUnixTimestamp64Milli(r.window_start), {size_ms:Int64}) * {size_ms:Int64} AS start_ms
FROM $table AS r WHERE $within
"""
_SIDE = """
SELECT
    $live AS live, r.metric AS metric, r.source AS source, r.series AS series,
    intDiv(toUnixTimestamp64Milli(r.window_start), {window_ms:Int64}) AS window, $holds AS holds
FROM $table AS r FINAL WHERE r.rollup = {$rollup:String} AND $within
GROUP BY metric, source, series, window
"""
_WINDOWS = """
SELECT countIf(sides = 2 AND kinds = 1), countIf(sides = 2 AND kinds > 1), countIf(sides = 1 AND live),
    countIf(sides = 1 AND NOT live)
FROM
(
    SELECT count() AS sides, uniqExact(holds) AS kinds, max(live) AS live FROM ($both)
    GROUP BY metric, source, series, window
)
"""
_TRANSITIONS = """
SELECT countIf(live AND side), countIf(live AND NOT side), countIf(side AND NOT live)
FROM
(
    SELECT id, max(is_live) AS live, max(NOT is_live) AS side
    FROM
    (
        SELECT id, true AS is_live FROM watchkeeper_store.transitions
        WHERE at > fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
            AND at <= fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC') AND NOT startsWith(rule, {external:String})
        UNION ALL
        SELECT id, false FROM $table
    )
    GROUP BY id
)
"""


class Windows(NamedTuple):
    """How many windows of series are equal, differ, are live only, and of the replay only."""

    equal: int
    different: int
    missing: int
    added: int


class Transitions(NamedTuple):
    """How many transitions there are on both sides, live only, and of the replay only."""

    equal: int
    live: int
    replay: int


Stretches = Mapping[tuple[str, int], Sequence[Covered]]
"""By topic and partition, what was folded whole."""


def windows(store: Store, table: str, config: FoldConfig, covered: Stretches, span: tuple[int, int]) -> Windows:
    """Compares the rollups: in every column; of another definition in what does not depend on the length of windows.

    An hour at a time: what is held in memory is what has one hour.

    Args:
        table: The side table.
        config: What it was folded by.
        span: Times of the log, from and to.

    Raises:
        StoreUnavailable: ClickHouse is away.
    """
    same = config.rollup == ROLLUP_10S
    common_ms = lcm(WINDOW_MS, config.window_ms)
    size_ms = -(-HOUR_MS // common_ms) * common_ms
    bound = {**_bound(covered), "from_ms": max(0, span[0] - PAST_MS), "to_ms": span[1] + HOUR_MS, "size_ms": size_ms}
    tables = ("watchkeeper_store.rollups", table)
    starts_ms = {start for one in tables for (start,) in store.rows(_filled(_SPAN, table=one), bound)}
    sides = [
        _filled(_SIDE, table=one, live=live, holds=_EQUAL if same else _ALIKE, rollup=rollup)
        for one, live, rollup in zip(tables, ("true", "false"), ("live", "side"), strict=True)
    ]
    sql = _WINDOWS.replace("$both", " UNION ALL ".join(sides))
    names = {"live": ROLLUP_10S, "side": config.rollup, "window_ms": common_ms}
    found = Windows(0, 0, 0, 0)
    for start_ms in sorted(starts_ms):
        hour = {**bound, **names, "from_ms": start_ms, "to_ms": start_ms + size_ms}
        found = Windows(*(one + more for one, more in zip(found, store.rows(sql, hour)[0], strict=True)))
    return found


def transitions(store: Store, table: str, from_ms: int, to_ms: int) -> Transitions:
    """Compares transitions behind one evaluation time up to another, by their ids. Raises as `windows`.

    Those that other systems raised are of no rule, and left out.
    """
    sql = _TRANSITIONS.replace("$table", table)
    return Transitions(*store.rows(sql, {"from_ms": from_ms, "to_ms": to_ms, "external": EXTERNAL})[0])


def _filled(sql: str, **parts: str) -> str:
    for name, part in {**parts, "within": _WITHIN}.items():
        sql = sql.replace(f"${name}", part)
    return sql


def _bound(covered: Stretches) -> dict[str, Any]:
    flat = [(topic, number, one) for (topic, number), some in covered.items() for one in some]
    return {
        "topics": [topic for topic, _, _ in flat],
        "partitions": [number for _, number, _ in flat],
        "epochs": [one.epoch for _, _, one in flat],
        "firsts": [one.first for _, _, one in flat],
        "ends": [LAST_SEGMENT if one.end is None else one.end for _, _, one in flat],
    }
