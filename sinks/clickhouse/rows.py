"""From the records of each topic to the columns of its table."""

import base64
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.alerts import StateRecord, Transition
from schemas.control import RuleControl
from schemas.deadletters import DeadLetter
from schemas.errors import BadRecord, Reason
from schemas.events import ErrorEvent, LogRecord, UserEvent
from schemas.reference import checked_bytes, decode_samples, explain, implausible, parsed
from schemas.topics import ALERT_STATES, ALERTS, CONTROL, DEADLETTERS, ERRORS, LOGS, ROLLUPS, SAMPLES, USER_EVENTS
from schemas.wire import TICK_PREFIX, Rows, decode_rollups

M = TypeVar("M", bound=BaseModel)
Columns = dict[str, list[Any]]


class Place(NamedTuple):
    """Where a record stands in the log."""

    epoch: str
    partition: int
    offset: int
    key: bytes | None
    timestamp_ms: int


Read = Callable[[Place, bytes | None], Sequence[dict[str, Any]]]
"""The rows of one record; none of what is not stored. Raises `BadRecord`."""


def _model(model: type[M]) -> Callable[[bytes | None], M]:
    adapter: TypeAdapter[M] = TypeAdapter(model)

    def read(value: bytes | None) -> M:
        try:
            return adapter.validate_python(parsed(checked_bytes(value)))
        except ValidationError as error:
            raise BadRecord(Reason.BAD_SHAPE, explain(error)) from None

    return read


_STATE: TypeAdapter[Any] = TypeAdapter(StateRecord)
_USER, _ERROR, _LOG = _model(UserEvent), _model(ErrorEvent), _model(LogRecord)
_TRANSITION, _CONTROL, _LETTER = _model(Transition), _model(RuleControl), _model(DeadLetter)


def _where(place: Place) -> dict[str, Any]:
    return {"epoch": place.epoch, "partition": place.partition, "offset": place.offset}


def samples(place: Place, value: bytes | None) -> list[dict[str, Any]]:
    """Raw samples. Distributions are kept in the rollups only."""
    if value is not None and value.startswith(TICK_PREFIX):
        return []
    record = decode_samples(value)
    return [
        {
            **_where(place),
            "position": position,
            "metric": point.series.metric,
            "value": point.value,
            "kind": point.series.kind.value,
            "at": record.at_ms if point.at_ms is None else point.at_ms,
            "source": point.series.source,
            "dimensions": point.series.labels,
        }
        for position, point in enumerate(record.points)
        if point.sketch is None
    ]


def _event(read: Callable[[bytes | None], Any], names: tuple[str, ...]) -> Read:
    def rows(place: Place, value: bytes | None) -> list[dict[str, Any]]:
        if value is not None and value.startswith(TICK_PREFIX):
            return []
        event = read(value)
        refused = implausible(event.at_ms, event.sent_ms)
        if refused is not None:
            raise refused
        return [{**_where(place), "at": event.at_ms, **{name: getattr(event, name) for name in names}}]

    return rows


_COPIED = [
    "source",
    "dimensions",
    "kind",
    "n",
    "sum",
    "min",
    "max",
    "first",
    "first_ms",
    "last",
    "last_ms",
    "increase",
    "zero",
    "positive",
    "negative",
    "ver",
]


def rollups(_: Place, value: bytes | None) -> list[dict[str, Any]]:
    """Rollup rows; watermarks are not stored."""
    record = decode_rollups(value)
    if not isinstance(record, Rows):
        return []
    of_record = {
        "rollup": record.rollup,
        "metric": record.metric,
        "size_ms": record.size_ms,
        "topic": record.topic,
        "epoch": record.epoch,
        "partition": record.partition,
        "segment": record.segment,
    }
    return [
        {
            **of_record,
            "series": int(row.series, 16),
            "window_start": row.start_ms,
            "h_sum": int(row.h_sum, 16),
            "h_xor": int(row.h_xor, 16),
            **{name: getattr(row, name) for name in _COPIED},
        }
        for row in record.rows
    ]


def transitions(_: Place, value: bytes | None) -> list[dict[str, Any]]:
    """Changes of alert states."""
    row = _TRANSITION(value).model_dump(mode="json", exclude={"v"})
    return [{**row, "episode": row.pop("episode_ms"), "at": row.pop("at_ms")}]


def states(place: Place, value: bytes | None) -> list[dict[str, Any]]:
    """What the evaluator knows of each alert, newest offset first; fences and positions are not stored."""
    if value is None:
        alert = (place.key or b"").decode("ascii", "replace")
        return [{"alert": alert, "ver": place.timestamp_ms, "removed": True, "record": ""}]
    try:
        record = _STATE.validate_python(parsed(checked_bytes(value)))
    except ValidationError as error:
        raise BadRecord(Reason.BAD_SHAPE, explain(error)) from None
    if record.type != "state":
        return []
    return [{"alert": record.alert, "ver": record.evaluated_ms, "removed": False, "record": record.model_dump_json()}]


def control(_: Place, value: bytes | None) -> list[dict[str, Any]]:
    """Every version of every rule."""
    record = _CONTROL(value)
    row = {"id": record.id, "version": record.version, "at": record.at_ms, "by": record.by}
    return [{**row, "record": record.model_dump_json()}]


def letters(_: Place, value: bytes | None) -> list[dict[str, Any]]:
    """Refused records."""
    letter = _LETTER(value)
    plain = {"topic", "epoch", "partition", "offset", "value_bytes", "value_sha256", "refused_by"}
    return [
        {
            **letter.model_dump(include=plain),
            "reasons": [fault.reason.value for fault in letter.faults],
            "details": [fault.detail for fault in letter.faults],
            "samples": [-1 if fault.sample is None else fault.sample for fault in letter.faults],
            "key": _text(letter.key_base64),
            "value": _text(letter.value_base64),
        }
    ]


def _text(encoded: str | None) -> str | None:
    return None if encoded is None else base64.b64decode(encoded).decode("utf-8", "replace")


_USER_COLUMNS = ("source", "user", "session", "event", "service", "duration_s", "attributes")
_ERROR_COLUMNS = (
    *(
        "source",
        "service",
        "type",
        "message",
        "stack",
        "fingerprint",
        "severity",
        "release",
        "environment",
        "attributes",
    ),
)
_LOG_COLUMNS = ("source", "service", "severity", "logger", "body", "trace_id", "span_id", "attributes")

TABLES: dict[str, tuple[str, Read]] = {
    SAMPLES.name: ("watchkeeper_store.samples", samples),
    USER_EVENTS.name: ("watchkeeper_store.events_user", _event(_USER, _USER_COLUMNS)),
    ERRORS.name: ("watchkeeper_store.events_errors", _event(_ERROR, _ERROR_COLUMNS)),
    LOGS.name: ("watchkeeper_store.logs", _event(_LOG, _LOG_COLUMNS)),
    ROLLUPS.name: ("watchkeeper_store.rollups", rollups),
    ALERTS.name: ("watchkeeper_store.transitions", transitions),
    ALERT_STATES.name: ("watchkeeper_store.alert_states", states),
    CONTROL.name: ("watchkeeper_store.control", control),
    DEADLETTERS.name: ("watchkeeper_store.deadletters", letters),
}
"""Topic to its table, and the function that reads its records."""


def columns(rows: Sequence[dict[str, Any]]) -> Columns:
    """Rows of equal keys, turned."""
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
