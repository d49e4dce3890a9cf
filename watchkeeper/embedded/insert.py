"""Telling an INSERT that carries its data from every other statement, as ClickHouse's own parser does."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""(?P<space>\s+|--[^\n]*\n?|/\*.*?\*/)
    |(?P<quoted>'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*")
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
MAX_STATEMENT_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose data follows its FORMAT clause.

    Attributes:
        head: The statement up to, and without, `FORMAT`.
        format: Name of the format.
        data: What follows, from the first byte after the white space that ends the name.
    """

    head: bytes
    format: str
    data: bytes


def split_insert(statement: bytes) -> Insert | None:
    """The parts of `INSERT ... FORMAT name data`; None of any other statement.

    Words in strings, quoted names, comments and brackets do not count, nor does anything after SELECT, WITH or VALUES.
    """
    depth, words, position = 0, 0, 0
    while position < min(len(statement), MAX_STATEMENT_BYTES):
        token = _TOKEN.match(statement, position)
        if token is None:
            return None
        position = token.end()
        if token.lastgroup == "other":
            depth += {b"(": 1, b")": -1}.get(token.group(), 0)
        elif token.lastgroup == "word" and depth == 0:
            word = token.group().upper()
            words += 1
            if (words == 1 and word != b"INSERT") or word in (b"SELECT", b"WITH", b"VALUES"):
                return None
            if word == b"FORMAT":
                return _after_format(statement, token.start(), position)
    return None


def _after_format(statement: bytes, start: int, position: int) -> Insert | None:
    name = re.compile(rb"\s+([A-Za-z_][A-Za-z0-9_]*)[ \t\r]*\n?").match(statement, position)
    if name is None:
        return None
    if name[1].upper() == b"VALUES":
        return None
    return Insert(statement[:start], name[1].decode(), statement[name.end() :])
