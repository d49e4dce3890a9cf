"""The audit of one hour and topic in ClickHouse: whether the rollup rows hold what the raw rows do."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

from connect.clickhouse import Store
from engine.audit import Hour, Mismatch, Result, Side
from schemas.rollups import ROLLUP_10S
from sinks.clickhouse.raw_points import HOUR_S, POINTS, ROLLUP_KEYS, hours_of
from sinks.clickhouse.rows import MAX_MS

_AUDIT = Template((files("sinks.clickhouse") / "audit.sql").read_text(encoding="utf-8"))

TOLD = 5
"""Series that are told of one hour. All are counted."""

MARGIN_MS = 300_000
"""Repeats of a record are looked for so far around the hour: the times of two may be put right differently."""

BOUNDS = """
SETTINGS max_threads = 1, priority = 10, max_memory_usage = 2000000000, max_bytes_before_external_group_by = 500000000,
    max_bytes_before_external_sort = 500000000, max_execution_time = 300, join_algorithm = 'grace_hash,hash'
"""
"""An audit takes its time, and leaves the machine to others. One that would take more than this is given up."""

# Records that may have values in the hour: by their sender's clock, or by that of their log.
_NEAR = """
SELECT
    epoch, partition, offset, horizon, source, boot, base, seq, shape, first_ms, last_ms, shift_ms,
    shift_ms != 0 OR last_ms < toUnixTimestamp64Milli(at) - {margin_ms:Int64} AS elsewhere
FROM watchkeeper_store.arrivals FINAL
WHERE topic = {topic:String} AND source != '' AND at >= fromUnixTimestamp64Milli({from_ms:Int64} - 3600000, 'UTC')
    AND (
        (last_ms >= {from_ms:Int64} - {margin_ms:Int64} AND first_ms < {to_ms:Int64} + {margin_ms:Int64})
        OR (
            shift_ms != 0 AND last_ms + shift_ms >= {from_ms:Int64} - {margin_ms:Int64}
            AND first_ms + shift_ms < {to_ms:Int64} + {margin_ms:Int64}
        )
    )
"""
# Of records that were late, or whose times are put right, all that bear their names: other times of theirs may be put
# right into another hour.
_NAMESAKES = Template("""
SELECT epoch, partition, offset, horizon, source, boot, base, seq, shape, first_ms, last_ms, shift_ms FROM ($near)
UNION DISTINCT
SELECT epoch, partition, offset, horizon, source, boot, base, seq, shape, first_ms, last_ms, shift_ms
FROM watchkeeper_store.arrivals FINAL
WHERE topic = {topic:String} AND source != '' AND at >= fromUnixTimestamp64Milli({from_ms:Int64} - 3600000, 'UTC')
    AND (base, seq) IN (SELECT base, seq FROM ($near) WHERE elsewhere)
""").substitute(near=_NEAR)
_ROLLED = Template("""
SELECT
    r.metric AS metric, r.source AS source, r.dimensions AS dimensions, r.series AS series, $key AS key,
    toUnixTimestamp64Milli(r.window_start) AS start_ms, r.epoch AS epoch, r.partition AS partition,
    r.segment AS segment, r.n AS n, r.sum AS sum, r.h_sum AS h_sum, r.h_xor AS h_xor
FROM watchkeeper_store.rollups AS r FINAL
WHERE r.rollup = {rollup:String} AND r.topic = {topic:String}
    AND r.window_start >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND r.window_start < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
""")
_PARTS = """
SELECT
    epoch, partition, max(offset), max(elsewhere), max(shift_ms != 0),
    max(shift_ms != 0 AND (first_ms < {oldest_ms:Int64} OR last_ms >= {storable_ms:Int64}))
FROM ($near) GROUP BY epoch, partition
"""
_UNPLACED = """
SELECT DISTINCT source FROM ($near)
WHERE shift_ms != 0 AND (first_ms < {oldest_ms:Int64} OR last_ms >= {storable_ms:Int64})
"""
_TOGETHER = "SELECT DISTINCT metric FROM ($rolled) WHERE source = '__other__' AND dimensions['overflow'] = 'true'"
_NONE = "SELECT '' FROM system.one WHERE 0"
# Whole hours in which raw rows stand whose times are put right.
_OTHER_HOURS = """
SELECT DISTINCT arrayJoin(range(intDiv(first_ms, 3600000), intDiv(last_ms, 3600000) + 1)) * 3600 FROM ($near)
WHERE shift_ms != 0 AND last_ms < {storable_ms:Int64}
"""
# Up to where a partition is complete, by what stands on every partition of metrics.rollups.
COMPLETE = """
SELECT epoch, partition, next_offset FROM
(
    SELECT epoch, partition, min(next_offset) AS next_offset, count() AS targets, max(targets) OVER () AS all_targets
    FROM watchkeeper_store.watermarks FINAL WHERE topic = {topic:String} GROUP BY epoch, partition
)
WHERE targets = all_targets
"""
# Partitions of which there is something, and whether the memory guard kept series together.
_PRESENT = """
SELECT epoch, partition, max(overflow) FROM
(
    SELECT epoch, partition, source = '__other__' AND dimensions['overflow'] = 'true' AS overflow FROM ($rolled)
    UNION ALL SELECT epoch, partition, 0 AS overflow FROM ($near)
)
GROUP BY epoch, partition
"""
_FIRST = """
SELECT offset, segment FROM watchkeeper_store.arrivals
WHERE topic = {topic:String} AND epoch = {epoch:String} AND partition = {partition:UInt32} ORDER BY offset LIMIT 1
"""
_STARTS = """
SELECT one.1 AS epoch, one.2 AS partition, one.3 AS offset, one.4 AS segment, 1 AS known FROM
(
    SELECT arrayJoin(arrayZip(
        {epochs:Array(String)}, {partitions:Array(UInt32)}, {offsets:Array(UInt64)}, {segments:Array(UInt64)}
    )) AS one
)
"""
_VERDICT = """
SELECT
    count(), countIf(unjudged), sum(repeated), max(before_all), countIf(differs AND NOT unjudged),
    arraySlice(arraySort(groupArrayIf(
        (
            toString(metric), who, series, raw_n, raw_sum, raw_h_sum, raw_h_xor, raw_h_at,
            rows_n, rows_sum, rows_h_sum, rows_h_xor, rows_h_at
        ),
        differs AND NOT unjudged
    )), 1, {told:UInt8})
FROM ($audit)
"""

_ANEW = "the topic was made anew before all of its records were folded"
_BEFORE = "some of it was stored before it was noted how records came"
_TOO_WRONG = "{} series are not judged: the clocks of their sources are so wrong that raw rows are not kept"


class Waiting(Exception):  # noqa: N818  (it is no error)
    """Not all rows of the hour are there yet; the message names the partitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was found of one hour and topic.

    Attributes:
        reason: Why nothing was judged, or not everything.
        series: That were compared.
        repeats: Values that were counted again, since their record came again beyond the horizon.
        mismatches: Series whose two sides differ.
        told: The first of them.
    """

    hour: Hour
    result: Result
    reason: str = ""
    series: int = 0
    repeats: int = 0
    mismatches: int = 0
    told: tuple[Mismatch, ...] = ()


class Auditor:
    """Audits one hour after the other.

    Args:
        size_ms: Length of an hour.
        epochs: The present incarnation of each topic: the log of another one will not go on.
    """

    def __init__(self, store: Store, *, size_ms: int, epochs: Mapping[str, str]) -> None:
        self._store = store
        self._size_ms = size_ms
        self._epochs = epochs

    def audit(self, hour: Hour, *, oldest_ms: int) -> Audit:
        """What there is to say of an hour.

        Args:
            oldest_ms: Raw rows of before may be gone.

        Raises:
            Waiting: Not all of it is there yet.
            StoreUnavailable: ClickHouse is away, or gave up.
        """
        given: dict[str, Any] = {
            "topic": hour.topic,
            "from_ms": hour.start_ms,
            "to_ms": hour.start_ms + self._size_ms,
            "margin_ms": MARGIN_MS,
            "oldest_ms": oldest_ms,
            "storable_ms": MAX_MS,
            "rollup": ROLLUP_10S,
            "told": TOLD,
        }
        words = {"near": _NEAR, "rolled": _ROLLED.substitute(key=ROLLUP_KEYS[hour.topic])}
        parts, present = (self._rows(sql, words, given) for sql in (_PARTS, _PRESENT))
        if not present:
            return Audit(hour=hour, result=Result.EQUAL)
        behind = self._behind(parts, given)
        if any(epoch == self._epochs.get(hour.topic) for epoch, _ in behind):
            raise Waiting(", ".join(f"{hour.topic}/{partition}" for _, partition in behind))
        if behind:
            return Audit(hour=hour, result=Result.UNJUDGED, reason=_ANEW)
        hours_s = set(range(hour.start_ms // 1000 // HOUR_S * HOUR_S, (hour.start_ms + self._size_ms) // 1000, HOUR_S))
        elsewhere, shifted, unplaced = (any(part[at] for part in parts) for at in (3, 4, 5))
        if shifted:
            hours_s |= {second for (second,) in self._rows(_OTHER_HOURS, words, given)}
        audit = _AUDIT.substitute(
            came=_NAMESAKES if elsewhere else _NEAR,
            rolled=words["rolled"],
            points=POINTS[hour.topic],
            starts=_STARTS,
            together=Template(_TOGETHER).substitute(words) if any(overflow for *_, overflow in present) else _NONE,
            unplaced=Template(_UNPLACED).substitute(words) if unplaced else _NONE,
        )
        starts = self._starts(hour.topic, [(epoch, partition) for epoch, partition, _ in present])
        found = self._rows(_VERDICT, {"audit": audit}, {**given, **hours_of(hours_s), **starts})
        return _audit(hour, *found[0])

    def _rows(self, sql: str, words: Mapping[str, str], given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return self._store.rows(Template(sql).substitute(words) + BOUNDS, given)

    def _behind(self, parts: list[tuple[Any, ...]], given: Mapping[str, Any]) -> list[tuple[str, int]]:
        """Partitions with records of the hour that the rollups do not hold yet."""
        complete = {(epoch, partition): offset for epoch, partition, offset in self._rows(COMPLETE, {}, given)}
        return [(epoch, part) for epoch, part, newest, *_ in parts if complete.get((epoch, part), 0) <= newest]

    def _starts(self, topic: str, present: list[tuple[str, int]]) -> dict[str, list[Any]]:
        """Where the notes on each partition begin of which there is something in the hour."""
        starts = [
            (epoch, partition, *first)
            for epoch, partition in present
            for first in self._store.rows(_FIRST, {"topic": topic, "epoch": epoch, "partition": partition})
        ]
        columns = zip(*starts, strict=True) if starts else ((), (), (), ())
        return dict(zip(("epochs", "partitions", "offsets", "segments"), map(list, columns), strict=True))


def _audit(
    hour: Hour, series: int, unjudged: int, repeats: int, before: int, mismatches: int, told: list[Any]
) -> Audit:
    if before:
        return Audit(hour=hour, result=Result.UNJUDGED, reason=_BEFORE, series=series)
    return Audit(
        hour=hour,
        result=Result.DIFFERENT if mismatches else Result.EQUAL,
        reason=_TOO_WRONG.format(unjudged) if unjudged else "",
        series=series,
        repeats=repeats,
        mismatches=mismatches,
        told=tuple(
            Mismatch(metric, source, number, Side(*sides[:5]), Side(*sides[5:]))
            for metric, source, number, *sides in told
        ),
    )
