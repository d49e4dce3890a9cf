"""From the records of topic `deadletters` to rows: what was refused, and what of it was sent again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydantic import TypeAdapter

from schemas.deadletters import DeadLetter, Redrive
from sinks.clickhouse.rows import Batch, Insertable, Record, Row, Table, Target, checked_ms, each, table_of, validated

_LETTER: TypeAdapter[DeadLetter | Redrive] = TypeAdapter(DeadLetter | Redrive)
_LETTER_COLUMNS = (
    *("topic", "epoch", "partition", "offset", "ver", "refused_at", "refused_by", "reasons", "details", "samples"),
    *("key_base64", "value_base64", "value_bytes", "value_sha256"),
)

_FIRST = 1 << 63
"""Version of the row of the first record of the topic; of later ones it is lower."""


def _letters(record: Record, _: str) -> Iterator[Row]:
    """A refused record. A letter that was sent twice is there once, as it was sent first: a replay changes nothing."""
    one: DeadLetter | Redrive = validated(_LETTER, record.value)
    if isinstance(one, Redrive):
        return
    yield (
        *(one.topic, one.epoch, one.partition, one.offset, _FIRST - record.offset, max(0, record.timestamp)),
        one.refused_by,
        [fault.reason.value for fault in one.faults],
        [fault.detail for fault in one.faults],
        [-1 if fault.sample is None else fault.sample for fault in one.faults],
        *(one.key_base64, one.value_base64, one.value_bytes, one.value_sha256),
    )


MAX_REDRIVE_BYTES = 8_192
_REDRIVE_COLUMNS = (
    *("topic", "epoch", "partition", "offset", "state", "at", "by"),
    *("to_epoch", "to_partition", "from_offset", "value_sha256"),
)


def refused_table() -> Table:
    """The table of letters. That a refused record was sent again stands beside them."""
    table = table_of("deadletters", _LETTER_COLUMNS, _letters)

    def read(records: Sequence[Record], epoch: str) -> Insertable:
        batch = table.read(records, epoch)
        beside = each(_redrive, [one for one in records if len(one.value or b"") <= MAX_REDRIVE_BYTES], epoch)
        batch.beside = Batch(beside.rows, beside.origins)
        return batch

    return replace(table, read=read, beside=Target(name="watchkeeper_store.redrives", columns=_REDRIVE_COLUMNS))


def _redrive(record: Record, _: str) -> Iterator[Row]:
    one: DeadLetter | Redrive = validated(_LETTER, record.value)
    if isinstance(one, Redrive):
        yield tuple(checked_ms(one.at_ms) if name == "at" else getattr(one, name) for name in _REDRIVE_COLUMNS)
