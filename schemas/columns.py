"""Rollup rows as arrays: those of many records of columns at once, without an object for each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from schemas.records import MAX_INT64, MAX_RECORD_BYTES
from schemas.rollup_columns import MAX_ROWS
from schemas.structs import Dimensions, Epoch, KindName, Metric, Millis, Partition, Source, Topic

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]

MAX_BUCKET = 99_999


class Columns(Struct, tag="columns", tag_field="type", forbid_unknown_fields=True, omit_defaults=True):
    """Rows of one metric and kind in columns, see `schemas.rollup_columns.RollupColumns`.

    What the columns hold is seen when they are made a `Block`.
    """

    v: Literal[1]
    rollup: Annotated[str, Meta(min_length=1, max_length=32)]
    size_ms: Annotated[int, Meta(gt=0, le=2**31)]
    metric: Metric
    kind: KindName
    topic: Topic
    epoch: Epoch
    partition: Partition
    segment: Millis
    start_ms: Millis
    sources: Annotated[list[Source], Meta(min_length=1, max_length=MAX_ROWS)]
    dimensions: Annotated[list[Dimensions], Meta(min_length=1, max_length=MAX_ROWS)]
    series: bytes
    source_index: bytes = b""
    dimensions_index: bytes = b""
    window_index: bytes = b""
    ver: bytes = b""
    n: bytes = b""
    sum: bytes = b""
    min: bytes = b""
    max: bytes = b""
    first: bytes = b""
    first_after_ms: bytes = b""
    last: bytes = b""
    last_after_ms: bytes = b""
    increase: bytes = b""
    zero: bytes = b""
    positive_lengths: bytes = b""
    positive_buckets: bytes = b""
    positive_counts: bytes = b""
    negative_lengths: bytes = b""
    negative_buckets: bytes = b""
    negative_counts: bytes = b""
    h_sum: bytes = b""
    h_xor: bytes = b""


@dataclass(frozen=True, slots=True)
class Sketches:
    """One side of the sketches of some rows.

    Attributes:
        lengths: How many buckets each row has.
        buckets: Their indexes, those of one row after the other's.
        counts: How many values each of them has.
    """

    lengths: Ints
    buckets: Ints
    counts: Ints

    def take(self, rows: Ints) -> "Sketches":
        """Those of some rows."""
        lengths = self.lengths[rows]
        items = spans((np.cumsum(self.lengths) - self.lengths)[rows], lengths)
        return Sketches(lengths, self.buckets[items], self.counts[items])


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Rows as columns of equal length, see `schemas.rollups.RollupRow`."""

    start_ms: Ints
    ver: Ints
    n: Ints
    sum: Floats
    min: Floats
    max: Floats
    first: Floats
    first_ms: Ints
    last: Floats
    last_ms: Ints
    increase: Floats
    h_sum: Hashes
    h_xor: Hashes
    zero: Ints
    positive: Sketches
    negative: Sketches

    def take(self, rows: Ints) -> "Values":
        """Some of the rows."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        sketches = {name: columns.pop(name).take(rows) for name in ("positive", "negative")}
        return Values(**{name: column[rows] for name, column in columns.items()}, **sketches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of some records.

    Attributes:
        heads: What each record says of all its rows.
        record: Of each row, the place of its head.
        series: Of each row, its fingerprint.
        source: Of each row, the place of its source in its head.
        dimensions: Of each row, the place of its dimensions in its head.
    """

    heads: Sequence[Columns]
    record: Ints
    series: Hashes
    source: Ints
    dimensions: Ints
    values: Values

    def __len__(self) -> int:
        return len(self.record)

    def take(self, rows: Ints) -> "Block":
        """Some of the rows."""
        names = ("record", "series", "source", "dimensions")
        some = {name: getattr(self, name)[rows] for name in names}
        return Block(heads=self.heads, values=self.values.take(rows), **some)


def spans(starts: Ints, lengths: Ints) -> Ints:
    """The places of items that lie together in spans, one span after the other."""
    places: Ints = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))
    return places


def block_of(records: Sequence[Columns]) -> Block:
    """The rows of some records, at least one, in their order.

    Raises:
        ValueError: One of the records is not well-formed. Which one is found by asking for each alone.
    """
    read = _Reader(records)
    rows = read.rows
    if rows.min() < 1 or rows.max() > MAX_ROWS:
        raise ValueError("too few rows, or too many")
    record = np.repeat(np.arange(len(records)), rows)
    start_ms = read.start_ms(record)
    room_ms = MAX_INT64 - start_ms
    return Block(
        heads=records,
        record=record,
        series=read.hashes("series"),
        source=read.integers("source_index", below=read.sizes("sources")[record]),
        dimensions=read.integers("dimensions_index", below=read.sizes("dimensions")[record]),
        values=Values(
            start_ms=start_ms,
            ver=read.integers("ver"),
            n=read.integers("n"),
            sum=read.floats("sum"),
            min=read.floats("min"),
            max=read.floats("max"),
            first=read.floats("first"),
            first_ms=start_ms + read.integers("first_after_ms", at_most=room_ms),
            last=read.floats("last"),
            last_ms=start_ms + read.integers("last_after_ms", at_most=room_ms),
            increase=read.floats("increase"),
            h_sum=read.hashes("h_sum"),
            h_xor=read.hashes("h_xor"),
            zero=read.integers("zero"),
            positive=read.sketches("positive"),
            negative=read.sketches("negative"),
        ),
    )


_FLOAT: Mapping[int, str] = {8: "<f8"}
_HASH: Mapping[int, str] = {8: "<u8"}
_UNSIGNED: Mapping[int, str] = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}
_SIGNED: Mapping[int, str] = {1: "<i1", 2: "<i2", 4: "<i4", 8: "<i8"}


_NAMES = Columns.__struct_fields__
_fields_of = attrgetter(*_NAMES)


class _Reader:
    """Reads columns of some records, those of all records as one."""

    def __init__(self, records: Sequence[Columns]) -> None:
        self._count = len(records)
        self._fields: dict[str, Sequence[Any]] = dict(
            zip(_NAMES, zip(*map(_fields_of, records), strict=True), strict=True)
        )
        self.rows = self.sizes("series") // 8
        """How many each record has."""

    def sizes(self, name: str) -> Ints:
        """How long a list, or a column in bytes, is in each record."""
        return np.fromiter(map(len, self._fields[name]), np.int64, self._count)

    def start_ms(self, record: Ints) -> Ints:
        """Of each row."""
        first, size = (np.array(self._fields[name], np.int64) for name in ("start_ms", "size_ms"))
        window = self.integers("window_index", at_most=((MAX_INT64 - first) // size)[record])
        return first[record] + window * size[record]

    def integers(self, name: str, *, below: Ints | None = None, at_most: Ints | None = None) -> Ints:
        """A column that is never negative.

        Args:
            below: What each of its items must be below of.
            at_most: What each must not exceed.
        """
        column = self._column(name, self.rows, _UNSIGNED).astype(np.int64)
        _require(column.min() >= 0, name)
        _require(below is None or bool((column < below).all()), name)
        _require(at_most is None or bool((column <= at_most).all()), name)
        return column

    def floats(self, name: str) -> Floats:
        """A column of finite numbers."""
        column = self._column(name, self.rows, _FLOAT)
        _require(bool(np.isfinite(column).all()), name)
        return column

    def hashes(self, name: str) -> Hashes:
        """A column of fingerprints or hashes."""
        return self._column(name, self.rows, _HASH)

    def sketches(self, side: str) -> Sketches:
        """The three columns of a side."""
        lengths = self.integers(f"{side}_lengths")
        # No count is zero, so that each has a byte at least: nobody makes us find memory for what is not there.
        _require(int(lengths.max()) <= MAX_RECORD_BYTES, side)
        totals = np.add.reduceat(lengths, np.cumsum(self.rows) - self.rows)
        _require(bool((totals <= self.sizes(f"{side}_counts")).all()), side)
        buckets = self._column(f"{side}_buckets", totals, _SIGNED).astype(np.int64)
        counts = self._column(f"{side}_counts", totals, _UNSIGNED).astype(np.int64)
        if len(buckets):
            _require(int(np.abs(buckets).max()) <= MAX_BUCKET, side)
            _require(int(counts.min()) > 0, side)
            begins = np.zeros(len(buckets) + 1, np.bool_)
            begins[np.cumsum(lengths)] = True
            _require(bool(((buckets[1:] > buckets[:-1]) | begins[1:-1]).all()), side)
        return Sketches(lengths, buckets, counts)

    def _column(self, name: str, items: Ints, types: Mapping[int, str]) -> NDArray[Any]:
        """All items of a column, of as many as each record must have."""
        pieces = self._fields[name]
        widths, rest = np.divmod(self.sizes(name), np.maximum(items, 1))
        _require(not rest.any() and not widths[items == 0].any(), name)
        different = set(widths[items > 0].tolist())
        _require(different <= types.keys() | {0}, name)
        if len(different) > 1:
            return np.concatenate(
                [
                    np.frombuffer(piece, types[width]) if width else np.zeros(count, np.uint8)
                    for piece, width, count in zip(pieces, widths.tolist(), items.tolist(), strict=True)
                ]
            )
        width = max(different, default=0)
        if width == 0:
            return np.zeros(int(items.sum()), types[8])
        return np.frombuffer(b"".join(pieces), types[width])


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(name)
