"""From the records of each topic to the rows of its table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from connect.clickhouse import Store
from schemas.alerts import AlertState, StateRecord, Transition
from schemas.control import ControlRecord, RuleApplied, RuleControl
from schemas.errors import BadRecord, Reason
from schemas.reference import checked_bytes, explain, parsed
from schemas.rollup_wire import Mark, Rows, decode_rollups
from schemas.rules import AbsenceRule
from schemas.topics import ALERT_STATES, ALERTS, CONTROL, ROLLUPS

MAX_MS = 4_102_444_800_000
"""The year 2100: expiry is computed in 32 bits of seconds."""

Row = tuple[Any, ...]
_Read = Callable[["Record", str], Iterator[Row]]


class Record(Protocol):
    """What a Kafka client gives for a record.

    `timestamp` is in epoch milliseconds, below zero where it is unknown; of type 1 it is that of the broker's append.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None


@dataclass(slots=True)
class Batch:
    """Rows, the record that each of them came from, and the records that could not be read.

    Attributes:
        beside: What is to be stored behind the rows.
    """

    rows: list[Row] = field(default_factory=list)
    origins: list[Record] = field(default_factory=list)
    refused: list[tuple[Record, BadRecord]] = field(default_factory=list)
    beside: "Batch | None" = None

    def extend(self, other: "Batch") -> None:
        """Takes another batch in."""
        self.rows += other.rows
        self.origins += other.origins
        self.refused += other.refused
        if other.beside is not None:
            self.beside = self.beside or Batch()
            self.beside.extend(other.beside)

    def part(self, start: int, stop: int) -> "Batch":
        """Some of its rows."""
        return Batch(self.rows[start:stop], self.origins[start:stop])


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A table of `watchkeeper_store`.

    Attributes:
        columns: Names of the columns, in the order in which a row holds them.
        day: Index of the column that chooses the partition, epoch milliseconds; None where there are no partitions.
    """

    name: str
    columns: tuple[str, ...]
    day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Target):
    """The table of a topic.

    Attributes:
        read: Turns records of one partition into rows. Second argument: epoch of the topic. Never raises for bad data.
        beside: Where what a batch has beside its rows is stored, once they are.
        resume: Told, before the first records of a partition are read: store, epoch, partition, offset.
    """

    read: Callable[[Sequence[Record], str], Batch]
    beside: Target | None = None
    resume: Callable[[Store, str, int, int], None] | None = None


def tables() -> dict[str, Table]:
    """The tables of our own topics, but for that of refused records: see `refused.py`."""
    return {
        ROLLUPS.name: _with_watermarks(table_of("rollups", _ROLLUP_COLUMNS, _rollups, day="window_start")),
        ALERTS.name: table_of("transitions", _TRANSITION_COLUMNS, _transitions),
        ALERT_STATES.name: table_of("alert_states", _STATE_COLUMNS, _states),
        CONTROL.name: table_of("control", _CONTROL_COLUMNS, _control),
    }


def table_of(name: str, columns: tuple[str, ...], read: _Read, *, day: str = "") -> Table:
    """A table whose rows are read record by record."""
    return Table(
        name=f"watchkeeper_store.{name}",
        columns=columns,
        read=lambda records, epoch: each(read, records, epoch),
        day=columns.index(day) if day else None,
    )


def each(read: _Read, records: Sequence[Record], epoch: str) -> Batch:
    """The rows of records, and those records that cannot be read."""
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


def checked_ms(at_ms: int) -> int:
    """The time, unless it cannot be stored.

    Raises:
        BadRecord: It lies beyond the year 2100.
    """
    if not 0 <= at_ms < MAX_MS:
        raise BadRecord(Reason.BAD_SHAPE, f"the time {at_ms} cannot be stored: it lies beyond the year 2100")
    return at_ms


def validated(adapter: TypeAdapter[Any], value: bytes | None) -> Any:
    """The record as the reference reads it.

    Raises:
        BadRecord: It cannot be used.
    """
    try:
        return adapter.validate_python(parsed(checked_bytes(value)))
    except ValidationError as error:
        raise BadRecord(Reason.BAD_SHAPE, explain(error)) from None


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
            *(row.source, series, checked_ms(row.start_ms), row.ver, row.kind, row.dimensions, row.n, row.sum),
            *(row.min, row.max, row.first, checked_ms(row.first_ms), row.last, checked_ms(row.last_ms)),
            *(row.increase, row.zero, row.positive, row.negative, h_sum, h_xor),
        )


_WATERMARK_COLUMNS = ("topic", "epoch", "partition", "target", "watermark_at", "next_offset")


def _with_watermarks(table: Table) -> Table:
    """Watermarks are stored behind the rows that came before them on their partition: then these are all there."""

    def read(records: Sequence[Record], epoch: str) -> Batch:
        batch = table.read(records, epoch)
        beside = each(_watermark, [record for record in records if record.key is None], epoch)
        batch.beside = Batch(beside.rows, beside.origins)
        return batch

    return replace(table, read=read, beside=Target(name="watchkeeper_store.watermarks", columns=_WATERMARK_COLUMNS))


def _watermark(record: Record, _: str) -> Iterator[Row]:
    """How far an input partition is complete. Sent without a key, which rows have."""
    mark = decode_rollups(record.value)
    if isinstance(mark, Mark):
        at_ms = checked_ms(mark.watermark_ms)
        yield (mark.topic, mark.epoch, mark.partition, record.partition, at_ms, mark.next_offset)


_TRANSITION = TypeAdapter(Transition)
_TRANSITION_COLUMNS = (
    *("id", "alert", "rule", "rule_version", "entity", "metric", "episode", "at", "from_state", "to_state", "severity"),
    *("revision", "outcome", "value", "threshold", "partial", "summary"),
)


def _transitions(record: Record, _: str) -> Iterator[Row]:
    """A change of an alert's state."""
    one: Transition = validated(_TRANSITION, record.value)
    times: Mapping[str, int] = {"episode": checked_ms(one.episode_ms), "at": checked_ms(one.at_ms)}
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
    one = validated(_STATE, record.value)
    if isinstance(one, AlertState):
        about = (checked_ms(one.evaluated_ms), one.rule, one.state.value, one.severity.value)
        yield (one.alert, epoch, ver, written_ms, *about, record.value.decode())


_CONTROL: TypeAdapter[RuleControl | RuleApplied] = TypeAdapter(ControlRecord)
_CONTROL_COLUMNS = (
    *("id", "version", "at", "by", "rule", "kind", "metric", "warning", "critical", "for_ms", "enabled", "record"),
)


def _control(record: Record, _: str) -> Iterator[Row]:
    """One version of a rule, or from when one was applied, which has no kind either."""
    one: RuleControl | RuleApplied = validated(_CONTROL, record.value)
    text = (record.value or b"").decode()
    if isinstance(one, RuleApplied):
        applied = (one.id, one.version, checked_ms(one.from_ms), "", one.id.removeprefix("applied/"))
        yield (*applied, "", "", None, None, 0, False, text)
        return
    named = (one.id, one.version, checked_ms(one.at_ms), one.by)
    about: Row
    match one.rule:
        case None:
            about = ("", "", "", None, None, 0, False)
        case AbsenceRule() as rule:
            about = (rule.id, rule.kind, rule.metric, None, None, rule.after_ms, rule.enabled)
        case rule:
            about = (rule.id, rule.kind, rule.metric, rule.warning, rule.critical, rule.for_ms, rule.enabled)
    yield (*named, *about, text)
