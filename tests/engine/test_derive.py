"""Series that events count into."""

from engine.derive import derive
from schemas.events import ErrorEvent, LogRecord, UserEvent

ENVELOPE = {"v": 1, "source": "web-1", "boot": "b", "seq": 1, "sent_ms": 10, "at_ms": 5}


def test_a_user_event_counts_once_and_tells_how_long_it_took() -> None:
    event = UserEvent.model_validate(
        {**ENVELOPE, "user": "u", "event": "page.view", "service": "shop", "duration_s": 0.5}
    )
    points = derive(event).points
    assert [(point.series.metric, point.value) for point in points] == [
        ("user.events", 1.0),
        ("user.event.duration", 0.5),
    ]
    assert points[0].series.labels == {"event": "page.view", "service": "shop"}


def test_a_user_event_without_a_duration_only_counts() -> None:
    event = UserEvent.model_validate({**ENVELOPE, "user": "u", "event": "login", "service": "shop"})
    assert [point.series.metric for point in derive(event).points] == ["user.events"]


def test_an_error_counts_by_service_type_and_severity() -> None:
    (point,) = derive(ErrorEvent.model_validate({**ENVELOPE, "service": "shop", "type": "KeyError"})).points
    assert (point.series.metric, point.series.labels) == (
        "error.events",
        {"service": "shop", "severity": "error", "type": "KeyError"},
    )


def test_a_log_record_counts_by_service_and_severity() -> None:
    decoded = derive(LogRecord.model_validate({**ENVELOPE, "body": "hello", "severity": "warn", "service": "shop"}))
    assert decoded.points[0].series.labels == {"service": "shop", "severity": "warn"}
    assert (decoded.source, decoded.boot, decoded.seq, decoded.at_ms) == ("web-1", "b", 1, 5)
