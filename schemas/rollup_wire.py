"""The hot path's codec of `metrics.rollups`: msgspec structs, which agree with `schemas.reference` on every input."""

from collections.abc import Sequence
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta, Struct

from schemas import reference
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


_ROLLUPS: msgspec.json.Decoder[Rows | Mark] = msgspec.json.Decoder(_WholeRows | _WholeMark)


def decode_rollups(value: bytes | None) -> Rows | Mark:
    """A record of `metrics.rollups`.

    Raises:
        BadRecord: When it cannot be read.
    """
    checked = reference.checked_bytes(value)
    try:
        decoded = _ROLLUPS.decode(checked)
        if type(decoded) is _WholeRows:
            _check(decoded.rows, checked)
    except (*REFUSED, ValueError):
        plain = reference.decode_rollups(checked).model_dump()
        decoded = cast("Rows | Mark", msgspec.convert(plain, Rows | Mark, str_keys=True))
    return decoded


def _check(rows: Sequence[Row], value: bytes) -> None:
    """What structs do not see, or would be slow to: that hexadecimal numbers are, and that no bucket is called -0."""
    digits = "".join([row.series + row.h_sum + row.h_xor for row in rows])
    if bytes.fromhex(digits).hex() != digits:
        raise ValueError(digits)
    for row in rows:
        if (0 in row.positive or 0 in row.negative) and (b'"-0"' in value or b"\\u" in value):
            raise ValueError(value)
