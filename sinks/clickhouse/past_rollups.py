"""Rollups of the past, as rules read them: as grids, or row by row. Of a row that was replaced the newest holds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from string import Template
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connect.clickhouse import Store
from engine.grids import NUMBERS, Grid, Span, grid
from engine.held import HeldSeries
from schemas.rollup_wire import Row, Rows
from schemas.rollups import ROLLUP_10S
from schemas.samples import Kind

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
Where = Mapping[str, str]
MAX_ROWS = 40_000
"""About so many rows are read at a time where they are read one by one."""

# Days know every series but those of the last moments.
_SERIES = """
SELECT series, any(source), any(CAST(dimensions, 'Map(String, String)')), toString(any(kind)), sum(n)
FROM
(
    SELECT series, source, dimensions, kind, n FROM watchkeeper_store.rollups_1d
    WHERE rollup = '1d.v1' AND metric = {metric:String}
        AND window_start > fromUnixTimestamp64Milli({from_ms:Int64} - 86400000, 'UTC')
        AND window_start < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
    UNION ALL
    SELECT series, source, dimensions, kind, 0 FROM watchkeeper_store.rollups_1m
    WHERE rollup = '1m.v1' AND metric = {metric:String}
        AND window_start >= fromUnixTimestamp64Milli(greatest({from_ms:Int64}, {to_ms:Int64} - 3600000), 'UTC')
        AND window_start < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
)
GROUP BY series
ORDER BY series
"""
_HOURS = """
SELECT DISTINCT toUnixTimestamp64Milli(window_start) AS at FROM watchkeeper_store.rollups_1h
WHERE rollup = '1h.v1' AND window_start > fromUnixTimestamp64Milli({from_ms:Int64} - 3600000, 'UTC')
    AND window_start < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
ORDER BY at
"""
_WITHIN = """
rollup = {rollup:String} AND window_start >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND window_start < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
"""
_NEWEST = f"""
SELECT toUnixTimestamp64Milli(min(window_start)), toUnixTimestamp64Milli(max(window_start)), count()
FROM watchkeeper_store.rollups_1m WHERE {_WITHIN}
"""  # noqa: S608  (put together from constants)
_NUMBERS = Template(f"""
SELECT series, toUnixTimestamp64Milli(window_start), ver, $columns
FROM watchkeeper_store.$table WHERE metric = {{metric:String}} AND {_WITHIN}
""")  # noqa: S608
_PARTS = Template(f"""
SELECT DISTINCT cityHash64($identity), $identity
FROM watchkeeper_store.$table WHERE metric = {{metric:String}} AND {_WITHIN}
ORDER BY $identity
""")  # noqa: S608
_ROWS = Template(f"""
SELECT
    metric, $identity, leftPad(lower(hex(series)), 16, '0'), source, CAST(dimensions, 'Map(String, String)'),
    toString(kind), toUnixTimestamp64Milli(window_start) AS start_ms, ver, n, sum, min, max, first,
    toUnixTimestamp64Milli(first_at), last, toUnixTimestamp64Milli(last_at), increase, zero,
    CAST(positive, 'Map(Int32, UInt64)'), CAST(negative, 'Map(Int32, UInt64)')
FROM watchkeeper_store.$table WHERE metric IN {{metrics:Array(String)}} $where AND {_WITHIN}
ORDER BY start_ms, metric, 2, 3, 4, 5, series
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Tier:
    """Windows of one length.

    Attributes:
        in_parts: Whether a window may have several rows, told apart by `identity`.
    """

    name: str
    window_ms: int
    rollup: str
    table: str
    identity: str
    in_parts: bool


MINUTES = Tier("1m", 60_000, "1m.v1", "rollups_1m", "'', '', 0, 0", in_parts=False)
WINDOWS = Tier("10s", 10_000, ROLLUP_10S, "rollups", "topic, epoch, partition, segment", in_parts=True)
TIERS = {tier.name: tier for tier in (MINUTES, WINDOWS)}


def recorded(store: Store, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
    """The stretches of a range in which anything was recorded: a whole hour without is none.

    Raises:
        StoreUnavailable: The same call may succeed later.
        StoreRefused: It will not.
    """
    hours = [int(row[0]) for row in store.rows(_HOURS, {"from_ms": from_ms, "to_ms": to_ms})]
    stretches: list[list[int]] = []
    for hour in hours:
        if stretches and hour == stretches[-1][1]:
            stretches[-1][1] = hour + HOUR_MS
        else:
            stretches.append([hour, hour + HOUR_MS])
    found = []
    for first, last in stretches:
        begin = _edge(store, max(first, from_ms), min(first + HOUR_MS, to_ms), 0)
        end = _edge(store, max(last - HOUR_MS, from_ms), min(last, to_ms), 1)
        if begin is not None and end is not None:
            found.append((begin, end + MINUTES.window_ms))
    return found


def _edge(store: Store, from_ms: int, to_ms: int, which: int) -> int | None:
    """Start of the first or last minute of a range that has rows."""
    row = store.rows(_NEWEST, {"rollup": MINUTES.rollup, "from_ms": from_ms, "to_ms": to_ms})[0]
    return int(row[which]) if row[2] else None


class PastRollups:
    """Reads rollups of one metric after the other. Knows the series of each from the first look on."""

    def __init__(self, store: Store, from_ms: int, to_ms: int) -> None:
        self._store = store
        self._range = {"from_ms": from_ms, "to_ms": to_ms}
        self._known: dict[str, tuple[np.ndarray, list[tuple[Kind, dict[str, str]]]]] = {}

    def series(self, metric: str, where: Where = MappingProxyType({})) -> int:
        """How many series a metric has, or how many with these dimensions."""
        known = self._of(metric)[1]
        return sum(all(labels.get(name, "") == value for name, value in where.items()) for _, labels in known)

    def _of(self, metric: str) -> tuple[np.ndarray, list[tuple[Kind, dict[str, str]]]]:
        if metric not in self._known:
            found = self._store.rows(_SERIES, {"metric": metric, **self._range})
            about = [(Kind(kind), {**dimensions, "source": source}) for _, source, dimensions, kind, _ in found]
            self._known[metric] = np.array([row[0] for row in found], "u8"), about
        return self._known[metric]

    def grid(self, tier: Tier, metric: str, span: Span, columns: Sequence[str]) -> Grid:
        """A stretch of a metric. Raises as `recorded`."""
        ids, about = self._of(metric)
        named = ["n", *(name for name in columns if name != "n")]
        found = self._read(tier, metric, span, named)
        place = np.searchsorted(ids, found["series"])
        known = np.zeros(len(found), bool) if not len(ids) else ids[np.minimum(place, len(ids) - 1)] == found["series"]
        if not known.all():
            found, place = found[known], place[known]
        return grid(
            span,
            [HeldSeries(kind, labels, span.window_ms) for kind, labels in about],
            place,
            found["start_ms"],
            found["ver"].view("i8"),
            {name: found[name] for name in named},
            self._rank(tier, metric, span, found["part"]) if tier.in_parts else None,
        )

    def _read(self, tier: Tier, metric: str, span: Span, named: Sequence[str]) -> NDArray[np.void]:
        fields = [("series", "u8"), ("start_ms", "i8"), ("ver", "u8"), *((name, NUMBERS[name]) for name in named)]
        asked = list(map(_expression, named))
        if tier.in_parts:
            fields.append(("part", "u8"))
            asked.append(f"cityHash64({tier.identity})")
        sql = _NUMBERS.substitute(columns=", ".join(asked), table=tier.table)
        about = {"metric": metric, "rollup": tier.rollup, "from_ms": span.from_ms, "to_ms": span.to_ms}
        return self._store.numbers(sql, np.dtype(fields), about)

    def _rank(self, tier: Tier, metric: str, span: Span, part: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Places of parts in the order in which rows of one window are put together."""
        about = {"metric": metric, "rollup": tier.rollup, "from_ms": span.from_ms, "to_ms": span.to_ms}
        sql = _PARTS.substitute(identity=tier.identity, table=tier.table)
        ordered = np.array([row[0] for row in self._store.rows(sql, about)], "u8")
        by_hash = np.argsort(ordered)
        return by_hash[np.searchsorted(ordered[by_hash], part)]

    def rows(
        self, tier: Tier, metrics: Sequence[str], from_ms: int, to_ms: int, where: Where = MappingProxyType({})
    ) -> Iterator[tuple[int, list[Rows]]]:
        """Every window of a range that has rows, with these, in order. Raises as `recorded`.

        Args:
            where: Only series with these dimensions; `source` counts as one. One that a series lacks is empty.
        """
        series = max(1, sum(self.series(metric, where) for metric in metrics))
        step_ms = max(tier.window_ms, MAX_ROWS // series * tier.window_ms)
        conditions, named = _conditions(where)
        sql = _ROWS.substitute(table=tier.table, identity=tier.identity, where=conditions)
        for first_ms in range(from_ms, to_ms, step_ms):
            about: Mapping[str, Any] = {"metrics": list(metrics), "rollup": tier.rollup, **named}
            span = {"from_ms": first_ms, "to_ms": min(first_ms + step_ms, to_ms)}
            found = self._store.rows(sql, {**about, **span})
            for start_ms, of_window in groupby(found, key=lambda row: int(row[9])):
                yield start_ms, list(_messages(tier, of_window))


def _messages(tier: Tier, rows: Iterable[tuple[Any, ...]]) -> Iterator[Rows]:
    for (metric, topic, epoch, partition, segment), several in groupby(rows, key=lambda row: row[:5]):
        about = (tier.rollup, tier.window_ms, metric, topic, epoch, partition, segment)
        yield Rows(*about, [_row(*one[5:]) for one in several])


def _row(*columns: Any) -> Row:
    *plain, zero, positive, negative = columns
    fields: Any = (*plain, "0" * 16, "0" * 16, zero, positive, negative)
    return Row(*fields)


def _conditions(where: Where) -> tuple[str, dict[str, str]]:
    """What selects series, and the values that the server binds."""
    conditions, named = "", dict[str, str]()
    for place, (name, value) in enumerate(sorted(where.items())):
        named |= {f"name{place}": name, f"value{place}": value}
        label = "source" if name == "source" else f"dimensions[{{name{place}:String}}]"
        conditions += f" AND {label} = {{value{place}:String}}"
    return conditions, named


def _expression(name: str) -> str:
    """A column as a number of eight bytes."""
    at = name.removesuffix("_ms")
    return f"toUnixTimestamp64Milli({at}_at)" if name.endswith("_ms") else name
