"""Topic `metrics.rollups` to its table: whole columns, without an object for each row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connect import native
from connect.clickhouse import Store
from schemas.columns import Block, Columns, Ints, block_of
from schemas.errors import BadRecord
from schemas.rollup_wire import Mark, block_of_rows, decode_message, decode_rollups
from sinks.clickhouse.rows import Batch, Record, Table, Target, checked_ms

COLUMNS = (
    *("rollup", "metric", "topic", "epoch", "partition", "segment", "source", "series", "window_start", "ver", "kind"),
    *("dimensions", "n", "sum", "min", "max", "first", "first_at", "last", "last_at", "increase", "zero", "positive"),
    *("negative", "h_sum", "h_xor"),
)
_WATERMARKS = Target(
    name="watchkeeper_store.watermarks",
    columns=("topic", "epoch", "partition", "target", "watermark_at", "next_offset"),
)
_KINDS = {"gauge": 1, "delta": 2, "cumulative": 3, "sketch": 4}
_KIND_TYPE = "Enum8('gauge' = 1, 'delta' = 2, 'cumulative' = 3, 'sketch' = 4)"


@dataclass(slots=True)
class Blocks:
    """Rollup rows of some records, see `sinks.clickhouse.rows.Insertable`.

    Attributes:
        blocks: Each with the record that each of its heads came from.
        beside: Watermarks. They are stored behind the rows that came before them: then these are all there.
    """

    blocks: list[tuple[Block, Sequence[Record]]] = field(default_factory=list)
    refused: list[tuple[Record, BadRecord]] = field(default_factory=list)
    beside: Batch | None = None

    def __len__(self) -> int:
        return sum(len(block) for block, _ in self.blocks)

    def extend(self, other: Any) -> None:
        """See `Insertable.extend`."""
        self.blocks += other.blocks
        self.refused += other.refused
        if other.beside is not None:
            self.beside = self.beside or Batch()
            self.beside.extend(other.beside)

    def some(self, places: Ints) -> "Blocks":
        """See `Insertable.some`."""
        found, first = [], 0
        for block, records in self.blocks:
            inside = places[(places >= first) & (places < first + len(block))] - first
            if len(inside):
                found.append((block.take(inside), records))
            first += len(block)
        return Blocks(found)

    def times_ms(self, target: Target) -> Ints:  # noqa: ARG002  (every row has one)
        """See `Insertable.times_ms`."""
        return np.concatenate([np.zeros(0, np.int64), *(block.values.start_ms for block, _ in self.blocks)])

    def origin(self) -> Record:
        """See `Insertable.origin`."""
        block, records = self.blocks[0]
        return records[int(block.record[0])]

    def insert(self, store: Store, target: Target) -> None:
        """See `Insertable.insert`."""
        pieces = chain.from_iterable(_native(block) for block, _ in self.blocks)
        store.insert_native(target.name, target.columns, b"".join(pieces))


def table() -> Table:
    """The table of `metrics.rollups`; its watermarks are stored beside it."""
    return Table(
        name="watchkeeper_store.rollups",
        columns=COLUMNS,
        day=COLUMNS.index("window_start"),
        read=_read,
        beside=_WATERMARKS,
    )


def _read(records: Sequence[Record], _: str) -> Blocks:
    found, beside, packed = Blocks(), Batch(), []
    for record in records:
        try:
            message = decode_message(record.value)
            if isinstance(message, Columns):
                packed.append((record, message))
            elif isinstance(message, Mark):
                beside.rows.append(_watermark(record, message))
                beside.origins.append(record)
            else:
                block = _storable(block_of_rows(message))
                found.blocks.append((block, [record] * len(block.heads)))
        except BadRecord as bad:
            found.refused.append((record, bad))
    found.beside = beside
    if packed:
        _pack(found, packed)
    return found


def _pack(found: Blocks, packed: Sequence[tuple[Record, Columns]]) -> None:
    """Reads columns, all at once. Where one of them is bad each is read alone."""
    try:
        block = _storable(block_of([columns for _, columns in packed]))
    except (ValueError, BadRecord):
        for record, columns in packed:
            try:
                found.blocks.append((_storable(_alone(record, columns)), [record]))
            except BadRecord as bad:
                found.refused.append((record, bad))
    else:
        found.blocks.append((block, [record for record, _ in packed]))


def _alone(record: Record, columns: Columns) -> Block:
    try:
        return block_of([columns])
    except ValueError:
        # The plain reader says what is wrong with it.
        rows = decode_rollups(record.value)
        assert not isinstance(rows, Mark)
        return block_of_rows(rows)


def native_rows(messages: Sequence[Columns]) -> bytes:
    """Columns as `Store.insert_native` takes them, in the order of `COLUMNS`; at least one.

    Raises:
        BadRecord: A time cannot be stored.
    """
    return b"".join(_native(_storable(block_of(messages))))


def _storable(block: Block) -> Block:
    values = block.values
    checked_ms(max(int(times.max()) for times in (values.start_ms, values.first_ms, values.last_ms)))
    return block


def _watermark(record: Record, mark: Mark) -> tuple[Any, ...]:
    """How far an input partition is complete, and on which partition here that was said."""
    at_ms = checked_ms(mark.watermark_ms)
    return (mark.topic, mark.epoch, mark.partition, record.partition, at_ms, mark.next_offset)


def _native(block: Block) -> Iterator[native.Piece]:
    """The block as ClickHouse reads it."""
    values, heads = block.values, block.heads
    sources, source = _listed([head.sources for head in heads], block.record, block.source)
    maps, dimensions = _listed([head.dimensions for head in heads], block.record, block.dimensions)
    columns = {
        **{name: _named(block, name) for name in ("rollup", "metric", "topic", "epoch")},
        "partition": native.numbers("UInt32", _of_heads(block, [head.partition for head in heads]), "<u4"),
        "segment": _unsigned(_of_heads(block, [head.segment for head in heads])),
        "source": _few(sources, source),
        "dimensions": native.labels(maps, dimensions),
        "kind": native.numbers(_KIND_TYPE, _of_heads(block, [_KINDS[head.kind] for head in heads]), "<i1"),
        "window_start": _time(values.start_ms),
        "first_at": _time(values.first_ms),
        "last_at": _time(values.last_ms),
        "series": _unsigned(block.series),
        **{name: _unsigned(getattr(values, name)) for name in ("ver", "n", "zero", "h_sum", "h_xor")},
        **{
            name: native.numbers("Float64", getattr(values, name), "<f8")
            for name in ("sum", "min", "max", "first", "last", "increase")
        },
        **{
            name: native.counts(side.lengths, side.buckets, side.counts)
            for name, side in (("positive", values.positive), ("negative", values.negative))
        },
    }
    return native.block([(name, columns[name]) for name in COLUMNS], len(block))


def _of_heads(block: Block, items: Sequence[int]) -> Ints:
    """Of each row what its head has."""
    found: Ints = np.array(items, np.int64)[block.record]
    return found


def _named(block: Block, name: str) -> native.Column:
    names = [getattr(head, name) for head in block.heads]
    return _few(names, block.record)


def _few(names: Sequence[str], places: Ints) -> native.Column:
    """Strings that stand at these places, each different one once."""
    different = {name: number for number, name in enumerate(dict.fromkeys(names))}
    numbers = np.fromiter(map(different.__getitem__, names), np.int64, len(names))
    return native.low_cardinality(list(different), numbers[places])


def _listed(lists: Sequence[list[Any]], record: Ints, places: Ints) -> tuple[list[Any], Ints]:
    """The lists of all heads as one, and where in it the item of each row is."""
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    return list(chain.from_iterable(lists)), (np.cumsum(lengths) - lengths)[record] + places


def _unsigned(items: NDArray[Any]) -> native.Column:
    return native.numbers("UInt64", items, "<u8")


def _time(items_ms: Ints) -> native.Column:
    return native.numbers("DateTime64(3, 'UTC')", items_ms, "<i8")
