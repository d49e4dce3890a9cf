"""Raw rows as the points that the fold makes of them: the inner part of statements that hold the two together."""

from collections.abc import Mapping
from string import Template

from schemas.topics import ERRORS, LOGS, SAMPLES, USER_EVENTS

_PLACE = """
    r.source AS source, toUnixTimestamp64Milli(r.at) AS at_ms, r.boot AS boot, r.seq AS seq,
    r.epoch AS epoch, r.partition AS partition, r.offset AS offset
"""
_HOURS = """
WHERE r.at >= toDateTime({least_s:UInt32}, 'UTC') AND r.at < toDateTime({most_s:UInt32}, 'UTC')
    AND toStartOfHour(r.at) IN (SELECT toDateTime(arrayJoin({hours_s:Array(UInt32)}), 'UTC'))
"""
_SAMPLES = Template("""
SELECT $place, r.metric AS metric, r.series AS key, r.value * greatest(r.n, 1) AS value, r.n AS n
FROM watchkeeper_store.samples AS r FINAL $hours
""")
_DERIVED = Template("""
SELECT
    $place,
    point.1 AS metric, cityHash64(toString(point.2)) AS key, assumeNotNull(point.3) AS value, toUInt64(1) AS n
FROM watchkeeper_store.$table AS r FINAL
ARRAY JOIN $points AS point
$hours
""")
# As `engine.derive.derive` has it, with dimensions in their canonical order.
_USER_POINTS = """arrayFilter(p -> isNotNull(p.3), [
    ('user.events', map('event', r.event, 'service', r.service), toNullable(1.)),
    ('user.event.duration', map('event', r.event, 'service', r.service), r.duration_s)
])"""
_ERROR_POINTS = "[('error.events', map('service', r.service, 'severity', r.severity, 'type', r.type), 1.)]"
_LOG_POINTS = "[('log.records', map('service', r.service, 'severity', r.severity), 1.)]"

POINTS: Mapping[str, str] = {
    SAMPLES.name: _SAMPLES.substitute(place=_PLACE, hours=_HOURS),
    USER_EVENTS.name: _DERIVED.substitute(place=_PLACE, hours=_HOURS, table="events_user", points=_USER_POINTS),
    ERRORS.name: _DERIVED.substitute(place=_PLACE, hours=_HOURS, table="events_errors", points=_ERROR_POINTS),
    LOGS.name: _DERIVED.substitute(place=_PLACE, hours=_HOURS, table="logs", points=_LOG_POINTS),
}
"""By input topic, its raw rows in some hours. Columns: metric, source, key (names the series within the topic), at_ms,
boot, seq, value (of a distribution its sum), n, epoch, partition, offset. Bound with `hours_of`."""

ROLLUP_KEYS: Mapping[str, str] = {
    topic: "r.series" if topic == SAMPLES.name else "cityHash64(toString(r.dimensions))" for topic in POINTS
}
"""By input topic, what `key` is of a rollup row `r`."""

HOUR_S = 3_600


def hours_of(hours_s: set[int]) -> dict[str, object]:
    """What is bound in `POINTS`, for at least one hour: starts of whole hours, epoch seconds."""
    return {"hours_s": sorted(hours_s), "least_s": min(hours_s), "most_s": max(hours_s) + HOUR_S}
