"""Rows as they are published: columns of one metric and kind, as narrow as their items allow."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.directory import Directory
from engine.fold_config import FoldConfig
from engine.rows import Ints
from schemas.columns import Columns, Sketches, Values

Cut = tuple[int, int]
"""First and end of the rows of one record."""

_ROW_BYTES, _BUCKET_BYTES = 220, 16
"""What a row, and a bucket of its sketch, take at most in base64."""


class _Column(NamedTuple):
    """An array's bytes. One of zeros has none."""

    data: bytes
    width: int

    def part(self, first: int, end: int) -> bytes:
        """Some of its items."""
        return self.data[first * self.width : end * self.width]


def row_bytes(about: NDArray[np.void], values: Values) -> Ints:
    """How long each row is at most in a record."""
    buckets: Ints = values.positive.lengths + values.negative.lengths
    long: Ints = about["names_bytes"] + _ROW_BYTES + _BUCKET_BYTES * buckets
    return long


def packed(
    config: FoldConfig, segment: int, directory: Directory, about: NDArray[np.void], values: Values, cuts: Sequence[Cut]
) -> Iterator[Columns]:
    """The records of these rows.

    Args:
        segment: Offset of the first record of the segment.
        about: What the directory says of each row's series.
        cuts: Where the rows are cut into records: each of one group, in order of time.
    """
    firsts = np.array([first for first, _ in cuts])
    cut = np.repeat(np.arange(len(cuts)), [end - first for first, end in cuts])
    start_ms = values.start_ms[firsts]
    sources, dimensions = (_Distinct(about[name], cut, len(cuts)) for name in ("source", "dimensions"))
    columns = {
        "series": _plain(about["series"]),
        "source_index": _unsigned(sources.places),
        "dimensions_index": _unsigned(dimensions.places),
        "window_index": _unsigned((values.start_ms - start_ms[cut]) // config.window_ms),
        "first_after_ms": _unsigned(values.first_ms - values.start_ms),
        "last_after_ms": _unsigned(values.last_ms - values.start_ms),
        **{name: _unsigned(getattr(values, name)) for name in ("ver", "n", "zero")},
        **{name: _plain(getattr(values, name)) for name in ("sum", "min", "max", "first", "last", "increase")},
        **{name: _plain(getattr(values, name)) for name in ("h_sum", "h_xor")},
    }
    sides = [_Side("positive", values.positive), _Side("negative", values.negative)]
    groups = about["group"][firsts].tolist()
    for number, ((first, end), group, at_ms) in enumerate(zip(cuts, groups, start_ms.tolist(), strict=True)):
        metric, kind = directory.groups[group]
        yield Columns(
            v=1,
            rollup=config.rollup,
            size_ms=config.window_ms,
            metric=metric,
            kind=kind,
            topic=config.topic,
            epoch=config.epoch,
            partition=config.partition,
            segment=segment,
            start_ms=at_ms,
            sources=[directory.sources[place] for place in sources.of(number)],
            dimensions=[directory.dimensions[place] for place in dimensions.of(number)],
            **{name: column.part(first, end) for name, column in columns.items()},
            **{name: part for side in sides for name, part in side.parts(first, end)},
        )


class _Distinct:
    """The different items of each record's part of a column, and where among them each row's is."""

    def __init__(self, items: Ints, cut: Ints, cuts: int) -> None:
        size = int(items.max()) + 1
        keys, places = np.unique(cut * size + items, return_inverse=True)
        begins = np.searchsorted(keys, np.arange(cuts + 1) * size)
        self.places: Ints = places - begins[cut]
        self._items: list[int] = (keys % size).tolist()
        self._begins: list[int] = begins.tolist()

    def of(self, number: int) -> Sequence[int]:
        """Those of one record."""
        return self._items[self._begins[number] : self._begins[number + 1]]


class _Side:
    """One side of the sketches."""

    def __init__(self, name: str, sketches: Sketches) -> None:
        self._names = (f"{name}_lengths", f"{name}_buckets", f"{name}_counts")
        self._lengths = _unsigned(sketches.lengths)
        self._buckets = _signed(sketches.buckets)
        self._counts = _unsigned(sketches.counts)
        self._ends = np.concatenate([[0], np.cumsum(sketches.lengths)])

    def parts(self, first: int, end: int) -> Iterator[tuple[str, bytes]]:
        """The columns of one record, each with its name."""
        inside = int(self._ends[first]), int(self._ends[end])
        parts = (self._lengths.part(first, end), self._buckets.part(*inside), self._counts.part(*inside))
        return zip(self._names, parts, strict=True)


def _plain(items: NDArray[Any]) -> _Column:
    """Items of 8 bytes as they are: a zero below zero is not one that can be left out."""
    data = items.astype(items.dtype.newbyteorder("<"), copy=False).tobytes()
    return _Column(data, 8) if data.strip(b"\0") else _Column(b"", 0)


def _unsigned(items: Ints) -> _Column:
    """Items that are not negative."""
    return _integers(items, np.min_scalar_type(int(items.max(initial=0))))


def _signed(items: Ints) -> _Column:
    return _integers(items, np.min_scalar_type(-1 - int(np.abs(items).max(initial=0))))


def _integers(items: Ints, narrow: np.dtype[Any]) -> _Column:
    if not items.any():
        return _Column(b"", 0)
    return _Column(items.astype(narrow.newbyteorder("<")).tobytes(), narrow.itemsize)
