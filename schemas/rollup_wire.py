"""The hot path's codec of `metrics.rollups`: msgspec structs, which agree with `schemas.reference` on every input."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np
from msgspec import Meta, Struct

from schemas import reference
from schemas.columns import Block, Columns, Hashes, Sketches, Values, block_of
from schemas.errors import BadRecord, Reason
from schemas.structs import (
    REFUSED,
    Buckets,
    Dimensions,
    Epoch,
    Hex64,
    KindName,
    Metric,
    Millis,
    Partition,
    Source,
    Topic,
)


class Row(Struct, gc=False, forbid_unknown_fields=True):
    """A rollup row, see `schemas.rollups.RollupRow`."""

    series: Hex64
    source: Source
    dimensions: Dimensions
    kind: KindName
    start_ms: Millis
    ver: Millis
    n: Millis
    sum: float
    min: float
    max: float
    first: float
    first_ms: Millis
    last: float
    last_ms: Millis
    increase: float
    h_sum: Hex64
    h_xor: Hex64
    zero: Millis = 0
    positive: Buckets = {}
    negative: Buckets = {}


class Rows(Struct, tag="rows", tag_field="type"):
    """Rows of one metric from one checkpoint, see `schemas.rollups.RollupRows`."""

    rollup: Annotated[str, Meta(min_length=1, max_length=32)]
    size_ms: Annotated[int, Meta(gt=0, le=2**31)]
    metric: Metric
    topic: Topic
    epoch: Epoch
    partition: Partition
    segment: Millis
    rows: Annotated[list[Row], Meta(min_length=1)]
    v: Literal[1] = 1


class Mark(Struct, tag="watermark", tag_field="type"):
    """A watermark, see `schemas.rollups.Watermark`."""

    topic: Topic
    epoch: Epoch
    partition: Partition
    watermark_ms: Millis
    next_offset: Millis
    v: Literal[1] = 1


class _WholeRows(Rows, tag="rows", kw_only=True, forbid_unknown_fields=True):
    """As it is read: the version must be there."""

    v: Literal[1]


class _WholeMark(Mark, tag="watermark", kw_only=True, forbid_unknown_fields=True):
    """As it is read: the version must be there."""

    v: Literal[1]


_ROLLUPS: msgspec.json.Decoder[Rows | Columns | Mark] = msgspec.json.Decoder(_WholeRows | Columns | _WholeMark)


def decode_message(value: bytes | None) -> Rows | Columns | Mark:
    """A record of `metrics.rollups` as it stands there. What columns hold is not looked at: see `block_of`.

    Raises:
        BadRecord: When it cannot be read.
    """
    checked = reference.checked_bytes(value)
    try:
        decoded = _ROLLUPS.decode(checked)
        if type(decoded) is _WholeRows:
            _check(decoded.rows, checked)
    except (*REFUSED, ValueError):
        return _explained(checked)
    return decoded


def decode_rollups(value: bytes | None) -> Rows | Mark:
    """The same, with columns as the rows that they hold.

    Raises:
        BadRecord: When it cannot be read.
    """
    record = decode_message(value)
    try:
        return record if isinstance(record, Mark) else rows_of(record)
    except BadRecord:
        return _explained(value)


def _explained(value: bytes | None) -> Rows | Mark:
    plain = reference.decode_rollups(value).model_dump()
    return cast("Rows | Mark", msgspec.convert(plain, Rows | Mark, str_keys=True))


def newest_ms(record: Rows | Columns) -> int:
    """Where the newest of its windows starts, epoch milliseconds.

    Raises:
        BadRecord: The columns do not hold rows.
    """
    if isinstance(record, Rows):
        return max(row.start_ms for row in record.rows)
    return int(_block([record]).values.start_ms.max()) if record.window_index else record.start_ms


def rows_of(record: Rows | Columns) -> Rows:
    """The rows that it holds.

    Raises:
        BadRecord: The columns do not hold rows.
    """
    return record if isinstance(record, Rows) else rows_of_all([record])[0]


def rows_of_all(records: Sequence[Columns]) -> list[Rows]:
    """The rows of each record. Many that are small are read together far sooner than one by one.

    Raises:
        BadRecord: The columns of one of them do not hold rows.
    """
    if not records:
        return []
    block = _block(records)
    values = block.values
    heads = [records[place] for place in block.record.tolist()]
    fields: list[Iterable[object]] = [
        _hexadecimal(block.series),
        [head.sources[place] for head, place in zip(heads, block.source.tolist(), strict=True)],
        [head.dimensions[place] for head, place in zip(heads, block.dimensions.tolist(), strict=True)],
        [head.kind for head in heads],
        *(getattr(values, name).tolist() for name in ("start_ms", "ver", "n", "sum", "min", "max")),
        *(getattr(values, name).tolist() for name in ("first", "first_ms", "last", "last_ms", "increase")),
        *(_hexadecimal(hashes) for hashes in (values.h_sum, values.h_xor)),
        values.zero.tolist(),
        _dicts(values.positive),
        _dicts(values.negative),
    ]
    rows, ends = list(map(Row, *fields)), np.cumsum(np.bincount(block.record)).tolist()
    parts = zip(records, pairwise([0, *ends]), strict=True)
    return [Rows(*_about(record), rows[first:end]) for record, (first, end) in parts]


def _about(one: Columns) -> tuple[str, int, str, str, str, int, int]:
    return one.rollup, one.size_ms, one.metric, one.topic, one.epoch, one.partition, one.segment


def block_of_rows(record: Rows) -> Block:
    """The same as arrays; each row has a source and dimensions of its own there."""
    rows = record.rows
    kinds = sorted({row.kind for row in rows})
    sources, dimensions = [row.source for row in rows], [row.dimensions for row in rows]
    each = np.arange(len(rows))

    def head(kind: KindName) -> Columns:
        return Columns(
            v=1,
            rollup=record.rollup,
            size_ms=record.size_ms,
            metric=record.metric,
            kind=kind,
            topic=record.topic,
            epoch=record.epoch,
            partition=record.partition,
            segment=record.segment,
            start_ms=0,
            sources=sources,
            dimensions=dimensions,
            series=b"",
        )

    def column(name: str, kind: str = "i8") -> Any:
        return np.array([getattr(row, name) for row in rows], kind)

    def hashes(name: str) -> Hashes:
        return np.array([int(getattr(row, name), 16) for row in rows], np.uint64)

    def sketches(side: str) -> Sketches:
        maps = [dict(sorted(getattr(row, side).items())) for row in rows]
        lengths = np.array([len(one) for one in maps], np.int64)
        buckets = np.array([bucket for one in maps for bucket in one], np.int64)
        return Sketches(lengths, buckets, np.array([count for one in maps for count in one.values()], np.int64))

    columns: dict[str, Any] = {
        **{name: column(name) for name in ("start_ms", "ver", "n", "first_ms", "last_ms", "zero")},
        **{name: column(name, "f8") for name in ("sum", "min", "max", "first", "last", "increase")},
        **{name: hashes(name) for name in ("h_sum", "h_xor")},
        **{side: sketches(side) for side in ("positive", "negative")},
    }
    return Block(
        heads=[head(kind) for kind in kinds],
        record=np.array([kinds.index(row.kind) for row in rows], np.int64),
        series=hashes("series"),
        source=each,
        dimensions=each,
        values=Values(**columns),
    )


def _block(records: Sequence[Columns]) -> Block:
    try:
        return block_of(records)
    except ValueError as error:
        raise BadRecord(Reason.BAD_SHAPE, f"the columns do not hold rows: {error}") from None


def _hexadecimal(hashes: Hashes) -> list[str]:
    return [f"{hashed:016x}" for hashed in hashes.tolist()]


def _dicts(sketches: Sketches) -> list[dict[int, int]]:
    ends = np.cumsum(sketches.lengths).tolist()
    buckets, counts = sketches.buckets.tolist(), sketches.counts.tolist()
    return [dict(zip(buckets[first:end], counts[first:end], strict=True)) for first, end in pairwise([0, *ends])]


def _check(rows: Sequence[Row], value: bytes) -> None:
    """What structs do not see, or would be slow to: that hexadecimal numbers are, and that no bucket is called -0."""
    digits = "".join([row.series + row.h_sum + row.h_xor for row in rows])
    if bytes.fromhex(digits).hex() != digits:
        raise ValueError(digits)
    for row in rows:
        if (0 in row.positive or 0 in row.negative) and (b'"-0"' in value or b"\\u" in value):
            raise ValueError(value)
