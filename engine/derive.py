"""Series that events are counted into, so that rules and queries see them as any other metric."""

from typing import assert_never

from schemas.events import ErrorEvent, LogRecord, UserEvent
from schemas.samples import Kind
from schemas.series import Decoded, Point, series_of


def derive(record: UserEvent | ErrorEvent | LogRecord) -> Decoded:
    """The points of one event.

    A user event counts into `user.events` (by event and service) and, where it tells how long it took, into
    `user.event.duration` in seconds. An error counts into `error.events` (by service, type and severity), a log record
    into `log.records` (by service and severity).
    """
    match record:
        case UserEvent():
            points = _of_user_event(record)
        case ErrorEvent():
            by = {"service": record.service, "type": record.type, "severity": record.severity}
            points = [_one("error.events", record.source, by)]
        case LogRecord():
            points = [_one("log.records", record.source, {"service": record.service, "severity": record.severity})]
        case _:
            assert_never(record)
    return Decoded(record.source, record.boot, record.seq, record.sent_ms, record.at_ms, points)


def _of_user_event(record: UserEvent) -> list[Point]:
    by = {"event": record.event, "service": record.service}
    points = [_one("user.events", record.source, by)]
    if record.duration_s is not None:
        points.append(Point(series_of("user.event.duration", record.source, by, Kind.GAUGE), record.duration_s))
    return points


def _one(metric: str, source: str, by: dict[str, str]) -> Point:
    return Point(series_of(metric, source, by, Kind.DELTA), 1.0)
