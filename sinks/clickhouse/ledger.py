"""What ClickHouse holds of one input topic, as the conservation ledger counts it."""

from collections.abc import Iterable
from string import Template
from typing import Any

from connect.clickhouse import Store
from engine.identity import record_hash
from engine.ledger import Span
from engine.recount import Cell, Named, Total, Totals
from schemas.rollups import ROLLUP_10S
from sinks.clickhouse.audit import BOUNDS, COMPLETE
from sinks.clickhouse.raw_points import HOUR_S, POINTS, hours_of

_END = Template("""
SELECT offset FROM watchkeeper_store.arrivals
WHERE topic = {topic:String} AND epoch = {epoch:String} AND partition = {partition:UInt32}
ORDER BY offset $direction LIMIT 1
""")
_RAW = Template("""
SELECT
    intDiv(p.at_ms, 60000) * 60000 AS minute_ms, toString(p.source) AS who, sum(p.n),
    sum(bitXor(mixed, bitShiftRight(mixed, 29))), groupBitXor(bitXor(mixed, bitShiftRight(mixed, 29)))
FROM
(
    -- As engine/identity.py has it: integers of 64 bits, which overflow.
    SELECT p.*, (b.base + p.seq) * toUInt64(11400714819323198485) AS mixed
    FROM ($points) AS p
    ANY LEFT JOIN
    (
        SELECT source, boot, any(base) AS base FROM watchkeeper_store.arrivals
        WHERE topic = {topic:String} AND epoch = {epoch:String} AND partition = {partition:UInt32}
            AND offset >= {first:UInt64} AND offset < {end:UInt64}
        GROUP BY source, boot
    ) AS b ON p.source = b.source AND p.boot = b.boot
    WHERE p.epoch = {epoch:String} AND p.partition = {partition:UInt32}
        AND p.offset >= {first:UInt64} AND p.offset < {end:UInt64}
) AS p
GROUP BY minute_ms, who
""")
_RECORDS = Template("""
SELECT
    toString(p.boot), p.seq, max(p.offset), sum(p.n),
    sumIf(
        p.n,
        p.epoch = {epoch:String} AND p.partition = {partition:UInt32}
            AND p.offset >= {first:UInt64} AND p.offset < {end:UInt64}
    )
FROM ($points) AS p
WHERE p.source = {source:String} AND intDiv(p.at_ms, 60000) * 60000 = {minute_ms:Int64}
GROUP BY p.boot, p.seq
""")
_ROLLED = """
SELECT
    intDiv(toUnixTimestamp64Milli(r.window_start), 60000) * 60000 AS minute_ms, toString(r.source) AS who,
    sum(r.n), sum(r.h_sum), groupBitXor(r.h_xor), max(r.source = '__other__' AND r.dimensions['overflow'] = 'true')
FROM watchkeeper_store.rollups AS r FINAL
WHERE r.rollup = {rollup:String} AND r.topic = {topic:String} AND r.epoch = {epoch:String}
    AND r.partition = {partition:UInt32} AND r.segment >= {first:UInt64} AND r.segment < {end:UInt64}
    AND r.window_start >= toDateTime({least_s:UInt32}, 'UTC') AND r.window_start < toDateTime({most_s:UInt32}, 'UTC')
    AND toStartOfHour(r.window_start) IN (SELECT toDateTime(arrayJoin({hours_s:Array(UInt32)}), 'UTC'))
GROUP BY minute_ms, who
"""
_NAMES = """
SELECT DISTINCT toString(boot), seq FROM watchkeeper_store.arrivals
WHERE at >= fromUnixTimestamp64Milli({from_ms:Int64} - 86400000, 'UTC') AND boot = {boot:String}
    AND seq >= {first:UInt64} AND seq <= {last:UInt64}
"""


class Books:
    """Counts what is stored of one incarnation of an input topic.

    Every method raises StoreUnavailable while ClickHouse is away.
    """

    def __init__(self, store: Store, topic: str, epoch: str) -> None:
        self._store = store
        self._topic = topic
        self._epoch = epoch

    def _rows(self, sql: str, **given: Any) -> list[tuple[Any, ...]]:
        return self._store.rows(sql + BOUNDS, {"topic": self._topic, "epoch": self._epoch, **given})

    def raw_span(self, partition: int) -> Span:
        """Of which records there is a note how they came: then their raw rows are there as well."""
        ends = [self._rows(_END.substitute(direction=one), partition=partition) for one in ("ASC", "DESC")]
        return Span(ends[0][0][0], ends[1][0][0] + 1) if all(ends) else Span(0, 0)

    def complete(self) -> dict[int, int]:
        """By partition, the offset below which every record is in the rollup rows that are stored."""
        return {partition: offset for epoch, partition, offset in self._rows(COMPLETE) if epoch == self._epoch}

    def raw(self, partition: int, span: Span, cells: Iterable[Cell]) -> Totals:
        """What the raw rows hold that stand in a span of a partition, in the hours of some cells."""
        hours = _hours(cells)
        if not hours:
            return {}
        sql = _RAW.substitute(points=POINTS[self._topic])
        found = self._rows(sql, partition=partition, **span._asdict(), **hours_of(hours))
        return {Cell(minute_ms, source): Total(n, h_sum, h_xor) for minute_ms, source, n, h_sum, h_xor in found}

    def raw_records(self, partition: int, span: Span, cell: Cell) -> tuple[dict[int, Named], dict[int, Named]]:
        """Records of a cell by their hash: those whose raw rows stand in a span of a partition; and all."""
        here: dict[int, Named] = {}
        everywhere: dict[int, Named] = {}
        sql = _RECORDS.substitute(points=POINTS[self._topic])
        given = {"partition": partition, **span._asdict(), **hours_of(_hours([cell])), **cell._asdict()}
        for boot, seq, offset, n, inside in self._rows(sql, **given):
            hashed = record_hash(cell.source, boot, seq)
            everywhere[hashed] = Named(boot, seq, offset, n)
            if inside:
                here[hashed] = Named(boot, seq, offset, inside)
        return here, everywhere

    def rolled(self, partition: int, span: Span, cells: Iterable[Cell]) -> tuple[Totals, set[int]]:
        """What the rollup rows count of the segments of a span; and the minutes in which series were kept together."""
        hours = _hours(cells)
        if not hours:
            return {}, set()
        found = self._rows(_ROLLED, partition=partition, rollup=ROLLUP_10S, **span._asdict(), **hours_of(hours))
        totals = {Cell(minute_ms, source): Total(n, h_sum, h_xor) for minute_ms, source, n, h_sum, h_xor, _ in found}
        return totals, {minute_ms for minute_ms, *_, overflow in found if overflow}

    def numbers(self, boot: str, first: int, last: int, *, from_ms: int) -> set[int]:
        """Which numbers of a boot came at all, to any topic, since a day before a time of the log."""
        return {seq for _, seq in self._rows(_NAMES, boot=boot, first=first, last=last, from_ms=from_ms)}


def _hours(cells: Iterable[Cell]) -> set[int]:
    return {cell.minute_ms // 1000 // HOUR_S * HOUR_S for cell in cells}
