"""Records that somebody broke: golden lines with fields gone, doubled, renamed or replaced, and with bytes changed.

A tree is JSON that need not be valid: an object is a list of fields, an array a list of trees, a leaf the bytes there.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

GOLDEN = Path(__file__).parent.parent / "golden"

LEAVES = (
    *(
        b"null",
        b"true",
        b"false",
        b'""',
        b'"x"',
        b"{}",
        b"[]",
        b"[1]",
        b'{"a":"b"}',
        b'{"":""}',
        b'{"a":1}',
        b"",
        b"nul",
    ),
    *(
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"0",
        b"-0",
        b"-0.0",
        b"-1",
        b"1",
        b"2",
        b"1.0",
        b"1e0",
        b"0.5",
        b"01",
        b"1.",
        b".5",
    ),
    *(b"1e400", b"-1e400", b"1e-400", b"5e-324", b"1.7976931348623157e308", b"1.7976931348623159e308", b"9" * 400),
    *(
        b"9007199254740993",
        b"9223372036854775807",
        b"9223372036854775808",
        b"18446744073709551616",
        b"-9223372036854775809",
    ),
    *(
        b"4070908800000",
        b"4070908800000.0",
        b"0.0",
        b"1790000000000.5",
        b"1790000060012",
        b"1790000060013",
        b"1786976000011",
    ),
    *(
        b'"gauge"',
        b'"sketch"',
        b'"delta"',
        b'"rows"',
        b'"watermark"',
        b'"1"',
        b'"metric\\n"',
        b'"met ric"',
        b'"1metric"',
    ),
    *(
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\\ud83d\\ude00"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b'"\xc3\xa9"',
        b'"\xef\xbb\xbf"',
    ),
    *(b'"a\nb"', b'"a\\nb"', b'"\x00"', b'"\\u0000"', b'"\x1f"', b'"\x7f"', b'"\\q"', b'"\\u12"', b'"unclosed', b"'x'"),
    *(b'"%b"' % (b"n" * length) for length in (64, 65, 128, 129, 256, 257)),
    *(b'"%b"' % (b"0" * 16), b'"%b"' % (b"F" * 16), b'"%b\\n"' % (b"0" * 15), b'"%b "' % (b"0" * 15)),
    *(b"{%b}" % b",".join(b'"d%d":"x"' % one for one in range(count)) for count in (32, 33)),
    *(
        b'{"a":1,"a":"b"}',
        b'{"a":"b","a":1}',
        b'{"0":1,"-0":2}',
        b'{"-0":1}',
        b'{"\\u002d0":1}',
        b'{"007":1}',
        b'{"99999":1}',
    ),
    *(
        b'{"%b":"x"}' % (b"n" * 129),
        b'{"x":"%b"}' % (b"n" * 257),
        b'{"100000":1}',
        b'{"1":0}',
        b'{"1":9223372036854775808}',
    ),
)
HUGE = (b"[" * 199 + b"]" * 199, b"[" * 300 + b"]" * 300, b'{"a":' * 300 + b"1" + b"}" * 300, b"[" * 5000, b"9" * 5000)
"""Refused by the reference's parser, valid JSON or not: of dimensions it is told apart, see `schemas.wire`."""

NAMES = (b'"added"', b'""', b'"\\u0073eq"', b'"\xff"', b'"\\ud800"', b'"dimensions"', b'"sketch"', b'"v"', b'"at_ms"')
PIECES = (
    b"\xef\xbb\xbf",
    b"\n",
    b"\r\n",
    b"\x00",
    b" ",
    b"\xff",
    b"\\",
    b'"',
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b"NaN",
    b"1e400",
)


class Leaf(NamedTuple):
    """What stands there."""

    text: bytes


class Field(NamedTuple):
    """One field of an object."""

    key: bytes
    value: "Tree"


Tree = Leaf | list[Any]


def golden(*names: str) -> list[bytes]:
    """All lines of some golden files."""
    return [line for name in names for line in (GOLDEN / f"{name}.jsonl").read_bytes().splitlines()]


def tree(value: Any) -> Tree:
    """A JSON value as a tree. An object of no fields and an array of no items are leaves."""
    if isinstance(value, dict) and value:
        return [Field(json.dumps(key).encode(), tree(item)) for key, item in value.items()]
    if isinstance(value, list) and value:
        return [tree(item) for item in value]
    return Leaf(json.dumps(value, ensure_ascii=False).encode())


def text(node: Tree, space: bytes = b"") -> bytes:
    """The bytes of a tree."""
    if isinstance(node, Leaf):
        return node.text
    comma = b"," + space
    if node and isinstance(node[0], Field):
        return b"{" + comma.join(one.key + b":" + space + text(one.value, space) for one in node) + space + b"}"
    return b"[" + comma.join(text(one, space) for one in node) + b"]"


def _places(node: Tree, *, sealed: bool = False) -> Iterator[tuple[list[Any], int, bool]]:
    """Every list and index in it, and whether it is within dimensions."""
    if isinstance(node, Leaf):
        return
    for index, item in enumerate(node):
        inside = sealed or (isinstance(item, Field) and item.key == b'"dimensions"')
        yield node, index, inside
        yield from _places(item.value if isinstance(item, Field) else item, sealed=inside)


@st.composite
def broken(draw: st.DrawFn, lines: list[bytes]) -> bytes:
    """A line of these with some of its fields not as they should be."""
    root = tree(json.loads(draw(st.sampled_from(lines))))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(root))
        if places:
            _break(draw, *draw(st.sampled_from(places)))
    return text(root, draw(st.sampled_from([b"", b"", b" ", b"\n", b"\r\n\t"])))


def _break(draw: st.DrawFn, parent: list[Any], index: int, sealed: bool) -> None:
    item = parent[index]
    leaf = Leaf(draw(st.sampled_from(LEAVES if sealed else LEAVES + HUGE)))
    changed = Field(item.key, leaf) if isinstance(item, Field) else leaf
    match draw(st.sampled_from(["remove", "replace", "replace", "double", "double after", "name", "add"])):
        case "remove" if len(parent) > 1:
            del parent[index]
        case "double":
            parent.insert(index, changed)
        case "double after":
            parent.append(changed)
        case "name" if isinstance(item, Field):
            parent[index] = Field(draw(st.sampled_from(NAMES)), item.value)
        case "add" if isinstance(item, Field):
            name = draw(st.sampled_from(NAMES))
            parent.append(Field(name, Leaf(b"{}") if name == b'"dimensions"' else leaf))
        case _:
            parent[index] = changed


@st.composite
def damaged(draw: st.DrawFn, lines: list[bytes]) -> bytes:
    """A line of these with some of its bytes changed, lost or added."""
    value = bytearray(draw(st.sampled_from(lines)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(value)))
        match draw(st.sampled_from(["flip", "delete", "insert", "cut"])):
            case "flip" if at < len(value):
                value[at] ^= 1 << draw(st.integers(0, 7))
            case "delete":
                del value[at : at + draw(st.integers(1, 8))]
            case "insert":
                value[at:at] = draw(st.sampled_from(PIECES) | st.binary(max_size=4))
            case _:
                del value[at:]
    return bytes(value)
