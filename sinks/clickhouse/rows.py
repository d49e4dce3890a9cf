"""From the records of each topic to the rows of its table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from schemas import events
from schemas.alerts import AlertState, StateRecord, Transition
from schemas.control import RuleControl
from schemas.deadletters import DeadLetter
from schemas.errors import BadRecord, Reason
from schemas.records import Record as Envelope
from schemas.reference import checked_bytes, explain, implausible, parsed
from schemas.rollup_wire import Rows, decode_rollups
from schemas.rules import AbsenceRule
from schemas.topics import ALERT_STATES, ALERTS, CONTROL, DEADLETTERS, ERRORS, LOGS, ROLLUPS, SAMPLES, USER_EVENTS
from schemas.wire import TICK_PREFIX
from sinks.clickhouse.samples import COLUMNS as SAMPLE_COLUMNS
from sinks.clickhouse.samples import SampleReader

MAX_MS = 4_102_444_800_000
"""The year 2100: expiry is computed in 32 bits of seconds."""

Row = tuple[Any, ...]
_Read = Callable[["Record", str], Iterator[Row]]


class Record(Protocol):
    """What a Kafka client gives for a record. `timestamp` is in epoch milliseconds, below zero where it is unknown."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(slots=True)
class Batch:
    """Rows, the record that each of them came from, and the records that could not be read."""

    rows: list[Row] = field(default_factory=list)
    origins: list[Record] = field(default_factory=list)
    refused: list[tuple[Record, BadRecord]] = field(default_factory=list)

    def extend(self, other: "Batch") -> None:
        """Takes another batch in."""
        self.rows += other.rows
        self.origins += other.origins
        self.refused += other.refused

    def part(self, start: int, stop: int) -> "Batch":
        """Some of its rows."""
        return Batch(self.rows[start:stop], self.origins[start:stop])


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of `watchkeeper_store`.

    Attributes:
        columns: Names of the columns, in the order in which a row holds them.
        day: Index of the column that chooses the partition, epoch milliseconds; None where there are no partitions.
        read: Turns records of one partition into rows. Second argument: epoch of the topic. Never raises for bad data.
    """

    name: str
    columns: tuple[str, ...]
    read: Callable[[Sequence[Record], str], Batch]
    day: int | None = None


def tables() -> dict[str, Table]:
    """The table of each topic. The readers hold caches: one set for each sink."""
    return {
        ROLLUPS.name: _table("rollups", _ROLLUP_COLUMNS, _rollups, day="window_start"),
        ALERTS.name: _table("transitions", _TRANSITION_COLUMNS, _transitions),
        ALERT_STATES.name: _table("alert_states", _STATE_COLUMNS, _states),
        CONTROL.name: _table("control", _CONTROL_COLUMNS, _control),
        DEADLETTERS.name: _table("deadletters", _LETTER_COLUMNS, _letters),
        USER_EVENTS.name: _table("events_user", _USER_COLUMNS, _event(events.UserEvent, _USER_COLUMNS), day="at"),
        ERRORS.name: _table("events_errors", _ERROR_COLUMNS, _event(events.ErrorEvent, _ERROR_COLUMNS), day="at"),
        LOGS.name: _table("logs", _LOG_COLUMNS, _event(events.LogRecord, _LOG_COLUMNS), day="at"),
        SAMPLES.name: Table(
            name="watchkeeper_store.samples",
            columns=SAMPLE_COLUMNS,
            read=_whole(SampleReader()),
            day=_AT,
        ),
    }


def _table(name: str, columns: tuple[str, ...], read: _Read, *, day: str = "") -> Table:
    return Table(
        name=f"watchkeeper_store.{name}",
        columns=columns,
        read=lambda records, epoch: _each(read, records, epoch),
        day=columns.index(day) if day else None,
    )


def _each(read: _Read, records: Sequence[Record], epoch: str) -> Batch:
    batch = Batch()
    for record in records:
        try:
            rows = list(read(record, epoch))
        except BadRecord as bad:
            batch.refused.append((record, bad))
            continue
        batch.rows += rows
        batch.origins += [record] * len(rows)
    return batch


_AT = SAMPLE_COLUMNS.index("at")


def _whole(reader: SampleReader) -> Callable[[Sequence[Record], str], Batch]:
    def read(records: Sequence[Record], epoch: str) -> Batch:
        batch = Batch()
        for record, rows in zip(records, reader.read([record.value for record in records]), strict=True):
            if isinstance(rows, BadRecord):
                batch.refused.append((record, rows))
                continue
            where = (epoch, record.partition, record.offset)
            batch.rows += [(*row, *where) for row in rows if row[_AT] < MAX_MS]
            batch.origins += [record] * (len(batch.rows) - len(batch.origins))
        return batch

    return read


def _checked_ms(at_ms: int) -> int:
    if not 0 <= at_ms < MAX_MS:
        raise BadRecord(Reason.BAD_SHAPE, f"the time {at_ms} cannot be stored: it lies beyond the year 2100")
    return at_ms


def _validated(adapter: TypeAdapter[Any], value: bytes | None) -> Any:
    try:
        return adapter.validate_python(parsed(checked_bytes(value)))
    except ValidationError as error:
        raise BadRecord(Reason.BAD_SHAPE, explain(error)) from None


_ENVELOPE = ("source", "boot", "seq", "at", "epoch", "partition", "offset")
_USER_COLUMNS = (*_ENVELOPE, "service", "event", "user", "session", "duration_s", "attributes")
_ERROR_COLUMNS = (
    *_ENVELOPE,
    *("service", "type", "severity", "message", "stack", "fingerprint", "release", "environment", "attributes"),
)
_LOG_COLUMNS = (
    *_ENVELOPE,
    *("service", "severity", "logger", "body", "trace_id", "span_id", "attributes"),
)


def _event(model: type[Envelope], columns: tuple[str, ...]) -> _Read:
    adapter: TypeAdapter[Envelope] = TypeAdapter(model)
    own = columns[len(_ENVELOPE) :]

    def read(record: Record, epoch: str) -> Iterator[Row]:
        if record.value is not None and record.value.startswith(TICK_PREFIX):
            return
        event: Envelope = _validated(adapter, record.value)
        refused = implausible(event.at_ms, event.sent_ms)
        if refused is not None:
            raise refused
        identity = (event.source, event.boot, event.seq, _checked_ms(event.at_ms))
        yield (*identity, epoch, record.partition, record.offset, *(getattr(event, name) for name in own))

    return read


_ROLLUP_COLUMNS = (
    *("rollup", "metric", "topic", "epoch", "partition", "segment", "source", "series", "window_start", "ver", "kind"),
    *("dimensions", "n", "sum", "min", "max", "first", "first_at", "last", "last_at", "increase", "zero", "positive"),
    *("negative", "h_sum", "h_xor"),
)


def _rollups(record: Record, _: str) -> Iterator[Row]:
    """Rollup rows; watermarks are not stored."""
    rows = decode_rollups(record.value)
    if not isinstance(rows, Rows):
        return
    of_all = (rows.rollup, rows.metric, rows.topic, rows.epoch, rows.partition, rows.segment)
    for row in rows.rows:
        try:
            series, h_sum, h_xor = int(row.series, 16), int(row.h_sum, 16), int(row.h_xor, 16)
        except ValueError as error:
            raise BadRecord(Reason.BAD_SHAPE, str(error)) from None
        yield (
            *of_all,
            *(row.source, series, _checked_ms(row.start_ms), row.ver, row.kind, row.dimensions, row.n, row.sum),
            *(row.min, row.max, row.first, _checked_ms(row.first_ms), row.last, _checked_ms(row.last_ms)),
            *(row.increase, row.zero, row.positive, row.negative, h_sum, h_xor),
        )


_TRANSITION = TypeAdapter(Transition)
_TRANSITION_COLUMNS = (
    *("id", "alert", "rule", "rule_version", "entity", "metric", "episode", "at", "from_state", "to_state", "severity"),
    *("revision", "outcome", "value", "threshold", "partial", "summary"),
)


def _transitions(record: Record, _: str) -> Iterator[Row]:
    """A change of an alert's state."""
    one: Transition = _validated(_TRANSITION, record.value)
    times: Mapping[str, int] = {"episode": _checked_ms(one.episode_ms), "at": _checked_ms(one.at_ms)}
    fields: Mapping[str, Any] = {**one.model_dump(mode="json"), **times}
    yield tuple(fields[name] for name in _TRANSITION_COLUMNS)


_STATE: TypeAdapter[Any] = TypeAdapter(StateRecord)
_STATE_COLUMNS = ("alert", "epoch", "ver", "written_at", "evaluated_at", "rule", "state", "severity", "record")


def _states(record: Record, epoch: str) -> Iterator[Row]:
    """What is known of one alert, or that it was removed; fences and positions are not stored."""
    ver, written_ms = record.offset + 1, max(0, record.timestamp)
    if record.value is None:
        yield ((record.key or b"").decode("utf-8", "replace"), epoch, ver, written_ms, 0, "", "", "", "")
        return
    one = _validated(_STATE, record.value)
    if isinstance(one, AlertState):
        about = (_checked_ms(one.evaluated_ms), one.rule, one.state.value, one.severity.value)
        yield (one.alert, epoch, ver, written_ms, *about, record.value.decode())


_CONTROL = TypeAdapter(RuleControl)
_CONTROL_COLUMNS = (
    *("id", "version", "at", "by", "rule", "kind", "metric", "warning", "critical", "for_ms", "enabled", "record"),
)


def _control(record: Record, _: str) -> Iterator[Row]:
    """One version of a rule."""
    one: RuleControl = _validated(_CONTROL, record.value)
    assert record.value is not None
    named = (one.id, one.version, _checked_ms(one.at_ms), one.by)
    about: Row
    match one.rule:
        case None:
            about = ("", "", "", None, None, 0, False)
        case AbsenceRule() as rule:
            about = (rule.id, rule.kind, rule.metric, None, None, rule.after_ms, rule.enabled)
        case rule:
            about = (rule.id, rule.kind, rule.metric, rule.warning, rule.critical, rule.for_ms, rule.enabled)
    yield (*named, *about, record.value.decode())


_LETTER = TypeAdapter(DeadLetter)
_LETTER_COLUMNS = (
    *("topic", "epoch", "partition", "offset", "ver", "refused_at", "refused_by", "reasons", "details", "samples"),
    *("key_base64", "value_base64", "value_bytes", "value_sha256"),
)


def _letters(record: Record, _: str) -> Iterator[Row]:
    """A refused record. A letter that was sent twice is there once, as it was sent last."""
    one: DeadLetter = _validated(_LETTER, record.value)
    yield (
        *(one.topic, one.epoch, one.partition, one.offset, record.offset + 1, max(0, record.timestamp)),
        one.refused_by,
        [fault.reason.value for fault in one.faults],
        [fault.detail for fault in one.faults],
        [-1 if fault.sample is None else fault.sample for fault in one.faults],
        *(one.key_base64, one.value_base64, one.value_bytes, one.value_sha256),
    )
