"""From the records of the input topics to rows: what they hold, and how they came."""

from collections.abc import Callable, Sequence
from zlib import crc32

from pydantic import TypeAdapter

from engine.fold_config import FoldConfig
from schemas import events
from schemas.errors import BadRecord
from schemas.records import Record as Envelope
from schemas.reference import implausible
from schemas.topics import ERRORS, LOGS, SAMPLES, USER_EVENTS
from schemas.wire import TICK_PREFIX, decode_tick
from sinks.clickhouse import arrivals
from sinks.clickhouse.arrivals import UNREAD, Arrivals, Came
from sinks.clickhouse.rows import MAX_MS, Batch, Record, Table, Target, checked_ms, validated
from sinks.clickhouse.samples import COLUMNS as SAMPLE_COLUMNS
from sinks.clickhouse.samples import Read, SampleReader

_ReadAll = Callable[[Sequence[bytes | None]], Sequence[Read]]

_EVENT = ("source", "boot", "seq", "at")
_PLACE = ("epoch", "partition", "offset")
_USER = ("service", "event", "user", "session", "duration_s", "attributes")
_ERROR = ("service", "type", "severity", "message", "stack", "fingerprint", "release", "environment", "attributes")
_LOG = ("service", "severity", "logger", "body", "trace_id", "span_id", "attributes")

_ARRIVALS = Target(name=arrivals.TABLE, columns=arrivals.COLUMNS, day=arrivals.AT)


def input_tables(rules: FoldConfig) -> dict[str, Table]:
    """The table of each input topic. The readers hold caches, and know their place in the log: one set for each sink.

    Args:
        rules: What the workers fold by.
    """
    samples = SampleReader().read
    return {
        USER_EVENTS.name: _of_events(USER_EVENTS.name, "events_user", events.UserEvent, _USER, rules),
        ERRORS.name: _of_events(ERRORS.name, "events_errors", events.ErrorEvent, _ERROR, rules),
        LOGS.name: _of_events(LOGS.name, "logs", events.LogRecord, _LOG, rules),
        SAMPLES.name: _input(SAMPLES.name, "samples", SAMPLE_COLUMNS, samples, rules),
    }


def _input(topic: str, name: str, columns: tuple[str, ...], read: _ReadAll, rules: FoldConfig) -> Table:
    came, at = Arrivals(topic, rules), columns.index("at")
    return Table(
        name=f"watchkeeper_store.{name}",
        columns=(*columns, *_PLACE),
        read=lambda records, epoch: _batch(read([record.value for record in records]), came, at, records, epoch),
        day=at,
        beside=_ARRIVALS,
        resume=came.resume,
    )


def _batch(read: Sequence[Read], arrived: Arrivals, at: int, records: Sequence[Record], epoch: str) -> Batch:
    batch = Batch()
    for record, one in zip(records, read, strict=True):
        if one.bad is not None:
            batch.refused.append((record, one.bad))
        place = (epoch, record.partition, record.offset)
        batch.rows += [(*row, *place) for row in one.rows if row[at] < MAX_MS]
        batch.origins += [record] * (len(batch.rows) - len(batch.origins))
    rows = arrived.rows(epoch, records[0].partition, records, [one.came for one in read])
    batch.beside = Batch(list(rows), list(records))
    return batch


def _of_events(topic: str, name: str, model: type[Envelope], own: tuple[str, ...], rules: FoldConfig) -> Table:
    adapter: TypeAdapter[Envelope] = TypeAdapter(model)
    return _input(topic, name, (*_EVENT, *own), lambda values: [_read(adapter, own, value) for value in values], rules)


def _read(adapter: TypeAdapter[Envelope], own: tuple[str, ...], value: bytes | None) -> Read:
    came = UNREAD
    try:
        if value is not None and value.startswith(TICK_PREFIX):
            return Read(came=Came(tick=decode_tick(value)))
        event: Envelope = validated(adapter, value)
        refused = implausible(event.at_ms, event.sent_ms)
        if refused is not None:
            raise refused
        fields = tuple(getattr(event, name) for name in own)
        # The first two of its own fields, and its time, are what names its row beside its id.
        shape = crc32(repr(fields[:2]).encode())
        came = Came(event.source, event.boot, event.seq, event.sent_ms, event.at_ms, event.at_ms, shape)
        return Read([(event.source, event.boot, event.seq, checked_ms(event.at_ms), *fields)], came)
    except BadRecord as bad:
        return Read(came=came, bad=bad)
