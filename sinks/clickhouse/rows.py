"""From the records of each topic to the rows of its table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from pydantic import TypeAdapter, ValidationError

from connect.clickhouse import Store
from schemas.alerts import AlertState, MemoryChunk, StateRecord, Transition
from schemas.columns import Ints
from schemas.control import ControlRecord, RuleApplied, RuleControl
from schemas.errors import BadRecord, Reason
from schemas.notifications import Delivered, Failed, NotificationRecord, Planned, Suppressed
from schemas.reference import checked_bytes, explain, parsed
from schemas.rules import AbsenceRule
from schemas.rules_of_rules import CompositeRule, SequenceRule
from schemas.topics import ALERT_STATES, ALERTS, CONTROL, NOTIFICATIONS

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


class Insertable(Protocol):
    """Rows of one table, the record that each of them came from, and the records that could not be read.

    Attributes:
        beside: What is to be stored behind the rows.
    """

    refused: list[tuple[Record, BadRecord]]
    beside: "Batch | None"

    def __len__(self) -> int:
        """How many rows there are."""

    def extend(self, other: Any) -> None:
        """Takes more rows of the same table in."""

    def some(self, places: Ints) -> "Insertable":
        """The rows at some places, which ascend."""

    def times_ms(self, target: Target) -> Ints:
        """Of each row the time that chooses its partition; zero where there are no partitions."""

    def origin(self) -> Record:
        """The record that the first row came from."""

    def insert(self, store: Store, target: Target) -> None:
        """Inserts all rows in one statement. Raises as `Store.insert`."""


@dataclass(slots=True)
class Batch:
    """Rows as tuples, and the record that each of them came from; see `Insertable`."""

    rows: list[Row] = field(default_factory=list)
    origins: list[Record] = field(default_factory=list)
    refused: list[tuple[Record, BadRecord]] = field(default_factory=list)
    beside: "Batch | None" = None

    def __len__(self) -> int:
        return len(self.rows)

    def extend(self, other: Any) -> None:
        """See `Insertable.extend`."""
        self.rows += other.rows
        self.origins += other.origins
        self.refused += other.refused
        if other.beside is not None:
            self.beside = self.beside or Batch()
            self.beside.extend(other.beside)

    def some(self, places: Ints) -> "Batch":
        """See `Insertable.some`."""
        chosen = places.tolist()
        return Batch([self.rows[place] for place in chosen], [self.origins[place] for place in chosen])

    def times_ms(self, target: Target) -> Ints:
        """See `Insertable.times_ms`."""
        day = target.day
        return np.array([0 if day is None else row[day] for row in self.rows], np.int64)

    def origin(self) -> Record:
        """See `Insertable.origin`."""
        return self.origins[0]

    def insert(self, store: Store, target: Target) -> None:
        """See `Insertable.insert`."""
        store.insert(target.name, dict(zip(target.columns, zip(*self.rows, strict=True), strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Target):
    """The table of a topic.

    Attributes:
        read: Turns records of one partition into rows. Second argument: epoch of the topic. Never raises for bad data.
        beside: Where what a batch has beside its rows is stored, once they are.
        resume: Told, before the first records of a partition are read: store, epoch, partition, offset.
    """

    read: Callable[[Sequence[Record], str], Insertable]
    beside: Target | None = None
    resume: Callable[[Store, str, int, int], None] | None = None


def tables() -> dict[str, Table]:
    """The tables of our own topics, but for those of rollups and of refused records: see `tables.py`."""
    return {
        ALERTS.name: table_of("transitions", TRANSITION_COLUMNS, _transitions),
        ALERT_STATES.name: table_of("alert_states", _STATE_COLUMNS, _states),
        CONTROL.name: table_of("control", _CONTROL_COLUMNS, _control),
        NOTIFICATIONS.name: table_of("notifications", _NOTIFICATION_COLUMNS, _notifications),
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


_TRANSITION = TypeAdapter(Transition)
TRANSITION_COLUMNS = (
    *("id", "alert", "rule", "rule_version", "entity", "metric", "episode", "at", "from_state", "to_state", "severity"),
    *("revision", "outcome", "value", "threshold", "partial", "summary", "flapping", "left_out"),
)


def _transitions(record: Record, _: str) -> Iterator[Row]:
    """A change of an alert's state. What only tells of late data is none, and is not stored."""
    one = validated(_TRANSITION, record.value)
    if one.amends is None:
        yield transition_row(one)


def transition_row(one: Transition) -> Row:
    """The row of `TRANSITION_COLUMNS`. Raises as `rollup_rows`."""
    times: Mapping[str, int] = {"episode": checked_ms(one.episode_ms), "at": checked_ms(one.at_ms)}
    fields: Mapping[str, Any] = {**one.model_dump(mode="json"), **times}
    return tuple(fields[name] for name in TRANSITION_COLUMNS)


MEMORY = "memory"
"""The state of a row that is no alert but what a rule remembers."""

_STATE: TypeAdapter[Any] = TypeAdapter(StateRecord)
_STATE_COLUMNS = ("alert", "epoch", "ver", "written_at", "evaluated_at", "rule", "state", "severity", "record")


def _states(record: Record, epoch: str) -> Iterator[Row]:
    """What is known of one alert, or that it was removed; what a rule remembers of an entity. Fences and positions are
    not stored.
    """
    ver, written_ms = record.offset + 1, max(0, record.timestamp)
    if record.value is None:
        yield ((record.key or b"").decode("utf-8", "replace"), epoch, ver, written_ms, 0, "", "", "", "")
        return
    one = validated(_STATE, record.value)
    if isinstance(one, AlertState):
        about = (checked_ms(one.evaluated_ms), one.rule, one.state.value, one.severity.value)
        yield (one.alert, epoch, ver, written_ms, *about, record.value.decode())
    elif isinstance(one, MemoryChunk):
        newest_ms = max((bucket.start_ms for bucket in one.buckets), default=0)
        key = (record.key or b"").decode("utf-8", "replace")
        yield (key, epoch, ver, written_ms, checked_ms(newest_ms), one.rule, MEMORY, "", record.value.decode())


_CONTROL: TypeAdapter[ControlRecord] = TypeAdapter(ControlRecord)
_CONTROL_COLUMNS = (
    *("id", "version", "at", "by", "rule", "kind", "metric", "warning", "critical", "for_ms", "enabled", "record"),
)


def _control(record: Record, _: str) -> Iterator[Row]:
    """One version of a rule, of a silence or of maintenance, or from when a rule was applied: only rules have kinds."""
    one: ControlRecord = validated(_CONTROL, record.value)
    text = (record.value or b"").decode()
    if isinstance(one, RuleApplied):
        applied = (one.id, one.version, checked_ms(one.from_ms), "", one.id.removeprefix("applied/"))
        yield (*applied, "", "", None, None, 0, False, text)
        return
    named = (one.id, one.version, checked_ms(one.at_ms), one.by)
    if not isinstance(one, RuleControl):
        yield (*named, "", "", "", None, None, 0, False, text)
        return
    about: Row
    match one.rule:
        case None:
            about = ("", "", "", None, None, 0, False)
        case AbsenceRule() as rule:
            about = (rule.id, rule.kind, rule.metric, None, None, rule.after_ms, rule.enabled)
        case CompositeRule() | SequenceRule() as rule:
            about = (rule.id, rule.kind, rule.metric, None, None, rule.for_ms, rule.enabled)
        case rule:
            about = (rule.id, rule.kind, rule.metric, rule.warning, rule.critical, rule.for_ms, rule.enabled)
    yield (*named, *about, text)


_NOTIFICATION: TypeAdapter[Planned | Delivered | Failed | Suppressed] = TypeAdapter(NotificationRecord)
_NOTIFICATION_COLUMNS = (
    *("id", "state", "receiver", "at", "route", "group", "status", "repeat", "alerts", "transitions"),
    *("attempts", "latency_ms", "why", "fallback", "record"),
)


def _notifications(record: Record, _: str) -> Iterator[Row]:
    """That a notice was planned, or how it ended."""
    one = validated(_NOTIFICATION, record.value)
    text = (record.value or b"").decode()
    if isinstance(one, Planned):
        notice = one.notice
        about = (notice.id, one.type, notice.receiver, checked_ms(notice.at_ms), notice.route, notice.group)
        told = (notice.status, notice.repeat, [alert.alert for alert in notice.alerts], one.includes)
        yield (*about, *told, 0, 0, "", "", text)
        return
    if isinstance(one, Suppressed):
        held_back: Row = (one.transition, one.type, "", checked_ms(one.at_ms), "", {}, "", False, [one.alert])
        yield (*held_back, [one.transition], 0, 0, ", ".join(one.by), "", text)
        return
    end: Row = (one.id, one.type, one.receiver, checked_ms(one.at_ms), "", {}, "", False, [], [], one.attempts)
    if isinstance(one, Delivered):
        yield (*end, one.latency_ms, "", "", text)
    else:
        yield (*end, 0, one.why, one.fallback or "", text)
