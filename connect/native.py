"""ClickHouse's format Native, written from arrays: a block of columns without an object for each row.

`clickhouse-connect` writes it from Python objects. Its form: https://clickhouse.com/docs/interfaces/formats/Native.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Ints, spans

_LOW_CARDINALITY_VERSION = (1).to_bytes(8, "little")
_OWN_KEYS = 0x600
"""A dictionary of low cardinality comes with its keys, and they are all there are."""

Piece = bytes | memoryview

_PLACES = ("<u1", "<u2", "<u4", "<u8")
"""Integers of 1, 2, 4 or 8 bytes; their place here is the code of their width."""


class Column(NamedTuple):
    """The bytes of a column.

    Attributes:
        state: What stands before the items of all columns within it.
        items: The items, in pieces.
    """

    type: str
    items: Sequence[Piece]
    state: bytes = b""


def block(columns: Sequence[tuple[str, Column]], rows: int) -> Iterator[Piece]:
    """The pieces of a block: its columns, each with its name. An insert may consist of several blocks.

    Most pieces are the arrays' own memory: whoever puts them together makes the only copy.
    """
    yield _varint(len(columns)) + _varint(rows)
    for name, column in columns:
        yield _text(name) + _text(column.type) + column.state
        yield from column.items


def numbers(type_: str, items: NDArray[Any], kind: str) -> Column:
    """Items of a fixed width.

    Args:
        kind: As numpy names it, such as `<u4`.
    """
    same = items.dtype.itemsize == np.dtype(kind).itemsize and items.dtype.kind in "iu" and kind[1] in "iu"
    return Column(type_, [_memory(items.view(kind) if same else items.astype(kind, copy=False))])


def low_cardinality(keys: Sequence[str], places: Ints) -> Column:
    """Strings out of a few, which stand at these places of `keys`."""
    return Column("LowCardinality(String)", _dictionary(keys, places), _LOW_CARDINALITY_VERSION)


def counts(lengths: Ints, keys: Ints, values: Ints) -> Column:
    """`Map(Int32, UInt64)`. Of each row its length; keys and values of one row after the other's."""
    items = (np.cumsum(lengths), keys.astype("<i4"), values)
    return Column("Map(Int32, UInt64)", [_memory(part) for part in items])


def labels(maps: Sequence[dict[str, str]], places: Ints) -> Column:
    """`Map(LowCardinality(String), String)`: maps that stand at these places of `maps`."""
    names = {name: place for place, name in enumerate(dict.fromkeys(chain.from_iterable(maps)))}
    sizes = np.fromiter(map(len, maps), np.int64, len(maps))
    keys = np.array([names[name] for one in maps for name in one], np.int64)
    values = [b"".join(map(_text, one.values())) for one in maps]
    lengths = sizes[places]
    return Column(
        "Map(LowCardinality(String), String)",
        [
            _memory(np.cumsum(lengths)),
            *_dictionary(list(names), keys[_spans(sizes, places)]),
            _memory(np.frombuffer(b"".join(values), np.uint8)[_spans(np.array([*map(len, values)]), places)]),
        ],
        _LOW_CARDINALITY_VERSION,
    )


def _spans(sizes: Ints, places: Ints) -> Ints:
    """Where the items of each of these places lie, of things of such sizes that lie one behind the other."""
    return spans((np.cumsum(sizes) - sizes)[places], sizes[places])


def _dictionary(keys: Sequence[str], places: Ints) -> list[Piece]:
    if not len(places):
        return []
    width = next(code for code in range(len(_PLACES)) if len(keys) <= 256 ** (1 << code))
    return [
        (_OWN_KEYS | width).to_bytes(8, "little"),
        len(keys).to_bytes(8, "little"),
        *map(_text, keys),
        len(places).to_bytes(8, "little"),
        _memory(places.astype(_PLACES[width])),
    ]


def _memory(items: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(items).data


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _varint(len(encoded)) + encoded


def _varint(number: int) -> bytes:
    """Seven bits in each byte, the lowest first; the highest bit says that there are more."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
