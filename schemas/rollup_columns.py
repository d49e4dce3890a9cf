"""The columns of `metrics.rollups`: many rows of one metric in one record, a column at a time. The plain reading of it.

`schemas.columns` reads the same of many records at once; both agree on every input.
"""

from base64 import b64decode
from collections.abc import Iterator, Sequence
from struct import unpack
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, model_validator

from schemas.dimensions import Dimensions
from schemas.records import Count, MetricName, Millis, Source, Wire
from schemas.rollups import Epoch, RollupRow, RollupRows
from schemas.samples import Kind

MAX_ROWS = 10_000
"""Rows in one record of columns."""

WIDTHS = (1, 2, 4, 8)
"""Bytes that an integer of a column may have."""

_Base64 = Annotated[
    str,
    StringConstraints(pattern=r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"),
    Field(json_schema_extra={"contentEncoding": "base64"}),
]
_INTEGERS = " Integers, unsigned; one for each row."
_FLOATS = " Floats; one for each row."
_LENGTHS = "Sketch: how many buckets each row has, values {side} zero. Integers, unsigned."
_BUCKETS = "Sketch: indexes of the buckets of all rows, each row's ascending. Integers, signed."
_COUNTS = "Sketch: how many values each of these buckets has. Integers, unsigned."

_Item = TypeVar("_Item")


class RollupColumns(Wire):
    """Rows of one metric and kind from one checkpoint of one input partition, in columns. Keyed by metric.

    A column is the base64 of an array, little-endian, without gaps. Floats have 8 bytes. Integers have 1, 2, 4 or 8,
    all of a column the same: its length divided by the number of its items. A column that is absent or empty is all
    zeros. The rows are those of `series`, 8 bytes each. They mean what `metrics.rollups.rows.v1` says.
    """

    v: Literal[1]
    type: Literal["columns"]
    rollup: Annotated[str, StringConstraints(min_length=1, max_length=32)] = Field(
        description="Definition and version."
    )
    size_ms: Annotated[int, Field(gt=0, le=2**31)] = Field(description="Length of the window.")
    metric: MetricName
    kind: Kind = Field(strict=False)
    topic: Annotated[str, StringConstraints(min_length=1, max_length=249)] = Field(description="Input topic.")
    epoch: Epoch = Field(description="Incarnation of the input topic.")
    partition: Annotated[int, Field(ge=0, le=2**31)]
    segment: Count = Field(description="Offset of the first record of the segment.")
    start_ms: Millis = Field(description="Start of the first window.")
    sources: Annotated[list[Source], Field(min_length=1, max_length=MAX_ROWS)] = Field(description="Sources of rows.")
    dimensions: Annotated[list[Dimensions], Field(min_length=1, max_length=MAX_ROWS)] = Field(
        description="Dimensions of rows."
    )
    series: _Base64 = Field(description="Fingerprints of (metric, source, dimensions), 8 bytes each, unsigned.")
    source_index: _Base64 = Field(default="", description="Places in `sources`." + _INTEGERS)
    dimensions_index: _Base64 = Field(default="", description="Places in `dimensions`." + _INTEGERS)
    window_index: _Base64 = Field(
        default="", description="The row's window starts so many times `size_ms` after `start_ms`." + _INTEGERS
    )
    ver: _Base64 = Field(default="", description="As in rows." + _INTEGERS)
    n: _Base64 = Field(default="", description="As in rows." + _INTEGERS)
    sum: _Base64 = Field(default="", description="As in rows." + _FLOATS)
    min: _Base64 = Field(default="", description="As in rows." + _FLOATS)
    max: _Base64 = Field(default="", description="As in rows." + _FLOATS)
    first: _Base64 = Field(default="", description="As in rows." + _FLOATS)
    first_after_ms: _Base64 = Field(
        default="", description="`first_ms`, counted from the start of the row's window." + _INTEGERS
    )
    last: _Base64 = Field(default="", description="As in rows." + _FLOATS)
    last_after_ms: _Base64 = Field(
        default="", description="`last_ms`, counted from the start of the row's window." + _INTEGERS
    )
    increase: _Base64 = Field(default="", description="As in rows." + _FLOATS)
    zero: _Base64 = Field(default="", description="As in rows." + _INTEGERS)
    positive_lengths: _Base64 = Field(default="", description=_LENGTHS.format(side="above"))
    positive_buckets: _Base64 = Field(default="", description=_BUCKETS)
    positive_counts: _Base64 = Field(default="", description=_COUNTS)
    negative_lengths: _Base64 = Field(default="", description=_LENGTHS.format(side="below"))
    negative_buckets: _Base64 = Field(default="", description=_BUCKETS)
    negative_counts: _Base64 = Field(default="", description=_COUNTS)
    h_sum: _Base64 = Field(default="", description="As in rows, but as integers: 8 bytes each, unsigned.")
    h_xor: _Base64 = Field(default="", description="As in rows, but as integers: 8 bytes each, unsigned.")

    @model_validator(mode="after")
    def _holds_rows(self) -> Self:
        self.rows()
        return self

    def rows(self) -> RollupRows:
        """The same as rows.

        Raises:
            ValueError: Columns do not fit each other, or a row is none.
        """
        return RollupRows(
            v=1,
            type="rows",
            rollup=self.rollup,
            size_ms=self.size_ms,
            metric=self.metric,
            topic=self.topic,
            epoch=self.epoch,
            partition=self.partition,
            segment=self.segment,
            rows=list(self._each()),
        )

    def _each(self) -> Iterator[RollupRow]:
        count, rest = divmod(len(b64decode(self.series)), 8)
        if rest or not 0 < count <= MAX_ROWS:
            raise ValueError(f"series must have 8 bytes for each of 1 to {MAX_ROWS} rows")
        names = (
            "ver",
            "n",
            "zero",
            "source_index",
            "dimensions_index",
            "window_index",
            "first_after_ms",
            "last_after_ms",
        )
        columns: dict[str, Sequence[Any]] = {
            **{name: self._integers(name, count) for name in (*names, "first_after_ms", "last_after_ms")},
            **{name: self._floats(name, count) for name in ("sum", "min", "max", "first", "last", "increase")},
            **{name: self._hashes(name, count) for name in ("series", "h_sum", "h_xor")},
            **{side: self._sketches(side, count) for side in ("positive", "negative")},
        }
        for row in range(count):
            yield self._row({name: column[row] for name, column in columns.items()})

    def _row(self, items: dict[str, Any]) -> RollupRow:
        start_ms = self.start_ms + self.size_ms * items.pop("window_index")
        return RollupRow(
            source=_item(self.sources, items.pop("source_index")),
            dimensions=_item(self.dimensions, items.pop("dimensions_index")),
            kind=self.kind,
            start_ms=start_ms,
            first_ms=start_ms + items.pop("first_after_ms"),
            last_ms=start_ms + items.pop("last_after_ms"),
            **items,
        )

    def _integers(self, name: str, count: int, *, signed: bool = False) -> Sequence[int]:
        column = b64decode(getattr(self, name))
        if not column:
            return [0] * count
        width, rest = divmod(len(column), count) if count else (0, 1)
        if rest or width not in WIDTHS:
            raise ValueError(f"{name} has {len(column)} bytes for {count} items")
        return [int.from_bytes(column[at : at + width], "little", signed=signed) for at in range(0, len(column), width)]

    def _floats(self, name: str, count: int) -> Sequence[float]:
        column = b64decode(getattr(self, name))
        if column and len(column) != 8 * count:
            raise ValueError(f"{name} has {len(column)} bytes for {count} rows")
        return unpack(f"<{count}d", column) if column else [0.0] * count

    def _hashes(self, name: str, count: int) -> Sequence[str]:
        column = b64decode(getattr(self, name))
        if column and len(column) != 8 * count:
            raise ValueError(f"{name} has {len(column)} bytes for {count} rows")
        numbers = unpack(f"<{count}Q", column) if column else [0] * count
        return [f"{number:016x}" for number in numbers]

    def _sketches(self, side: str, count: int) -> Sequence[dict[str, int]]:
        lengths = self._integers(f"{side}_lengths", count)
        if sum(lengths) > len(getattr(self, f"{side}_counts")):
            raise ValueError(f"{side}_lengths tells of {sum(lengths)} buckets, which have no counts")
        buckets = self._integers(f"{side}_buckets", sum(lengths), signed=True)
        counts = self._integers(f"{side}_counts", sum(lengths))
        found, end = [], 0
        for length in lengths:
            start, end = end, end + length
            if any(one >= other for one, other in zip(buckets[start:end], buckets[start + 1 : end], strict=False)):
                raise ValueError(f"buckets of a row in {side}_buckets do not ascend")
            found.append(dict(zip(map(str, buckets[start:end]), counts[start:end], strict=True)))
        return found


def _item(items: Sequence[_Item], index: int) -> _Item:
    if index >= len(items):
        raise ValueError(f"there is no item {index}")
    return items[index]
