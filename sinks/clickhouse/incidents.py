"""Rows of topic `incidents`: every event with the incident as it stood then, and every action that was asked for."""

from collections.abc import Iterator

from pydantic import TypeAdapter

from schemas.incidents import IncidentAction, IncidentEvent, IncidentRecord
from sinks.clickhouse.rows import Record, Row, checked_ms, validated

_RECORD: TypeAdapter[IncidentEvent | IncidentAction] = TypeAdapter(IncidentRecord)
INCIDENT_COLUMNS = (
    *("id", "type", "incident", "version", "at", "change", "cause", "by", "comment", "status", "severity", "title"),
    *("began", "opened", "reopened", "acknowledged", "acknowledged_by", "assigned_to", "snoozed_until", "resolved"),
    *("resolved_by", "times_reopened", "alerts", "episodes", "states", "rules", "services", "relapses", "record"),
)


def incident_rows(record: Record, _: str) -> Iterator[Row]:
    """One row of `INCIDENT_COLUMNS`. Raises BadRecord."""
    one = validated(_RECORD, record.value)
    text, at_ms = (record.value or b"").decode(), checked_ms(one.at_ms)
    if isinstance(one, IncidentAction):
        asked: Row = (one.id, one.type, one.incident, 0, at_ms, one.action.value, "", one.by, one.comment, "", "", "")
        yield (*asked, 0, 0, 0, 0, "", one.assigned_to, checked_ms(one.until_ms), 0, "", 0, [], [], [], [], [], 0, text)
        return
    about = one.incident
    told = (one.id, one.type, about.id, about.version, at_ms, one.change.value, one.cause, one.by, one.comment)
    stands = (about.status.value, about.severity.value, about.title)
    times = map(checked_ms, (about.began_ms, about.opened_ms, about.reopened_ms, about.acknowledged_ms))
    people = (about.acknowledged_by, about.assigned_to, checked_ms(about.snoozed_until_ms))
    alerts = (
        [each.alert for each in about.alerts],
        [checked_ms(each.episode_ms) for each in about.alerts],
        [each.state.value for each in about.alerts],
        sorted({each.rule for each in about.alerts}),
        sorted({each.entity["service"] for each in about.alerts if each.entity.get("service")}),
        sum(each.relapses for each in about.alerts),
    )
    end = (checked_ms(about.resolved_ms), about.resolved_by, about.reopened)
    yield (*told, *stands, *times, *people, *end, *alerts, text)
