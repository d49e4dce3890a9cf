"""Which metrics there are: from the catalogue, and from what was recorded."""

from collections.abc import Mapping
from dataclasses import dataclass

from connect.clickhouse import Store
from schemas.catalogue import BY_NAME

MAX_METRICS = 2_000
MAX_VALUES = 200

# Days know every series but those of the last moments.
_METRICS = """
SELECT metric, any(kind), uniqExact(series), uniqExact(source), arraySort(groupUniqArrayArray(64)(names)), max(newest)
FROM
(
    SELECT metric, toString(kind) AS kind, series, source, mapKeys(dimensions) AS names,
        toUnixTimestamp64Milli(last_at) AS newest
    FROM watchkeeper_store.rollups_1d
    WHERE rollup = '1d.v1' AND window_start > fromUnixTimestamp64Milli({from_ms:Int64} - 86400000, 'UTC')
    UNION ALL
    SELECT metric, toString(kind), series, source, mapKeys(dimensions), toUnixTimestamp64Milli(last_at)
    FROM watchkeeper_store.rollups_1m
    WHERE rollup = '1m.v1' AND window_start >= fromUnixTimestamp64Milli({to_ms:Int64} - 900000, 'UTC')
)
GROUP BY metric ORDER BY metric LIMIT {limit:UInt32}
"""
_VALUES = """
SELECT name, value, uniqExact(series) AS found
FROM
(
    SELECT
        arrayJoin(arrayConcat([('source', toString(source))], CAST(dimensions, 'Array(Tuple(String, String))'))) AS one,
        one.1 AS name, one.2 AS value, series
    FROM watchkeeper_store.$table
    WHERE rollup = {rollup:String} AND metric = {metric:String}
        AND window_start >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
        AND window_start < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
)
GROUP BY name, value ORDER BY name, found DESC, value LIMIT {limit:UInt32} BY name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric that was recorded.

    Attributes:
        unit: As UCUM writes it; empty where the catalogue does not know the metric.
        newest_ms: Time of its newest value.
    """

    name: str
    kind: str
    unit: str
    description: str
    series: int
    sources: int
    dimensions: list[str]
    newest_ms: int


def metrics(store: Store, from_ms: int, to_ms: int) -> list[Metric]:
    """Metrics that were recorded in a range, by name. Raises as `Store.rows`."""
    rows = store.rows(_METRICS, {"from_ms": from_ms, "to_ms": to_ms, "limit": MAX_METRICS})
    found = []
    for name, kind, series, sources, dimensions, newest_ms in rows:
        about = BY_NAME.get(name)
        found.append(
            Metric(
                name=name,
                kind=kind,
                unit=about.unit if about is not None else "",
                description=about.description if about is not None else "",
                series=series,
                sources=sources,
                dimensions=list(dimensions),
                newest_ms=newest_ms,
            )
        )
    return found


def dimension_values(store: Store, metric: str, from_ms: int, to_ms: int) -> Mapping[str, list[str]]:
    """Of each dimension of a metric, and of `source`, the values that most series have. Raises as `Store.rows`."""
    tier = "1h" if to_ms - from_ms > 6 * 3_600_000 else "1m"
    sql = _VALUES.replace("$table", f"rollups_{tier}")
    about = {"metric": metric, "rollup": f"{tier}.v1", "from_ms": from_ms, "to_ms": to_ms, "limit": MAX_VALUES}
    values: dict[str, list[str]] = {}
    for name, value, _ in store.rows(sql, about):
        values.setdefault(name, []).append(value)
    return values
