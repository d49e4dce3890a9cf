"""What one statement is: an INSERT with data, a query, several at once, or one that reaches for files.

ClickHouse's server takes one statement and keeps to its tables. The embedded engine has the habits of ClickHouse's
command line: it executes several statements at once, ends the data of an INSERT at an empty line, and reads and writes
files. So statements are read here first, token by token as ClickHouse's own lexer does it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""
    (?P<string> '(?:[^'\\]|\\.|'')*' | \xe2\x80\x98.*?\xe2\x80\x99 | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    |(?P<quoted> `(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*" | \xe2\x80\x9c.*?\xe2\x80\x9d )
    |(?P<word> [A-Za-z_][A-Za-z0-9_$]* )
    |(?P<space> [\s\0\x80-\xe1\xe3-\xff]+ | \xe2 | --[^\n]* | \#[\ !][^\n]* | /\*.*?\*/ )
    |(?P<other> [0-9.,=<>+*%]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING, _CLOSING = (b"(", b"[", b"{"), (b")", b"]", b"}")
_AFTER_FORMAT = re.compile(rb"[ \t\f\r]*\n?")
_QUOTES = b'`"\xe2\x80\x9c\x9d'
_FORBIDDEN_CALLS = (b"FILE", b"EVAL", b"PYTHON")
_FORBIDDEN_WORDS = (b"OUTFILE", b"INFILE", b"EMBEDDEDROCKSDB")
_SUSPECT = re.compile(rb"file|eval|python|\\", re.IGNORECASE)
_STREAMED = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"})
"""Formats whose pieces can be put one after the other: they have no head and no end."""


class Refused(Exception):  # noqa: N818  (an answer, not a fault of ours)
    """What is said against a statement.

    Args:
        code: ClickHouse's error code.
        message: As ClickHouse words it: `Code: 62. DB::Exception: ... (SYNTAX_ERROR)`.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def refusal(code: int, name: str, reason: str) -> Refused:
    """A refusal of our own in ClickHouse's form."""
    return Refused(code, f"Code: {code}. DB::Exception: {reason}. ({name})")


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose data is not part of the statement.

    Attributes:
        head: The statement up to, and without, `FORMAT name` or `VALUES`.
        table: Where the table's name stands in it; None where it inserts into a function.
        columns: What stands in the brackets behind the table: its columns; empty where there are none.
        format: Name of the format.
        data: What followed in the same text, from the data's first byte.
    """

    head: bytes
    table: tuple[int, int] | None
    columns: bytes
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Query:
    """Any other statement.

    Attributes:
        format: Name of the output format that it asks for; empty: it leaves that to the request.
        streams: Whether its answer may be taken piece by piece, if the format allows it.
    """

    format: str
    streams: bool

    def in_pieces(self, default_format: str) -> bool:
        """Whether its answer can be given piece by piece."""
        return self.streams and (self.format or default_format) in _STREAMED


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: bytes
    start: int
    end: int
    depth: int


def read(statement: bytes) -> Insert | Query:
    """What a statement is.

    Raises:
        Refused: When it is empty, more than one, reaches for files, or needs what the embedded engine cannot do.
    """
    tokens = _tokens(statement)
    first = next(tokens, None)
    if first is None:
        raise refusal(62, "SYNTAX_ERROR", "Empty query")
    if _is(first, b"INSERT"):
        return _read_insert(statement, tokens)
    top = [first, *(token for token in tokens if token.depth == 0)]
    selects = (_is(first, b"SELECT", b"WITH") or first.text == b"(") and not any(_is(token, b"INSERT") for token in top)
    return Query(_output_format(top), streams=selects)


def _read_insert(statement: bytes, tokens: Iterator[_Token]) -> Insert | Query:
    selects = takes_input = False
    head: list[_Token] = []
    for token in tokens:
        takes_input = takes_input or _is(token, b"INPUT")
        head.append(token)
        if token.depth:
            continue
        if _is(token, b"SELECT", b"WITH"):
            selects = True
        elif _is(token, b"VALUES") and not selects:
            return _with_data(statement, head, token, "Values", token.end)
        elif _is(token, b"FORMAT") and not selects:
            name = next(tokens, None)
            if name is None or name.kind != "word":
                raise refusal(62, "SYNTAX_ERROR", "Syntax error: FORMAT without the name of a format")
            return _with_data(statement, head, token, name.text.decode(), name.end)
        elif _is(token, b"FORMAT") and takes_input:
            raise refusal(48, "NOT_IMPLEMENTED", "INSERT ... SELECT ... FROM input() is not in the embedded ClickHouse")
    return Query("", streams=False)


def _with_data(statement: bytes, head: list[_Token], clause: _Token, name: str, end: int) -> Insert:
    table, columns = _target(statement, head)
    if name.upper() == "VALUES":
        # Values are expressions. Most data names nothing that an expression must not call, and is not read again.
        if _SUSPECT.search(statement, end):
            _check(statement, end)
        return Insert(statement[: clause.start], table, columns, "Values", statement[end:])
    after = _AFTER_FORMAT.match(statement, end)
    return Insert(statement[: clause.start], table, columns, name, statement[after.end() if after else end :])


def _target(statement: bytes, head: list[_Token]) -> tuple[tuple[int, int] | None, bytes]:
    """Where the name of the table stands, and what stands in the brackets behind it."""
    place = 0
    while place < len(head) - 1 and _is(head[place], b"INTO", b"TABLE"):
        place += 1
    if _is(head[place], b"FUNCTION"):
        return None, b""
    first = last = head[place]
    if head[place + 1].text == b"." and place + 2 < len(head):
        place += 2
        last = head[place]
    columns = b""
    if head[place + 1].text == b"(":
        end = next(token for token in head[place + 2 :] if token.depth == 0 and token.text == b")")
        columns = statement[head[place + 1].end : end.start]
    return (first.start, last.end), columns


def check_values(data: bytes) -> None:
    """Looks into data of the format Values that came apart from its statement.

    Raises:
        Refused: When an expression in it reaches for files.
    """
    if _SUSPECT.search(data):
        _check(data, 0)


def _check(text: bytes, start: int) -> None:
    for _ in _tokens(text, start, one=False):
        pass


def _tokens(text: bytes, start: int = 0, *, one: bool = True) -> Iterator[_Token]:
    """Tokens without space and comments, each at its depth of brackets; refuses what must not be executed."""
    depth, ended, before = 0, False, None
    for match in _TOKEN.finditer(text, start):
        kind, part = match.lastgroup or "", match.group()
        if kind == "tag":
            kind = "string"
        if kind == "space":
            continue
        if part == b";":
            ended = one
            continue
        if ended:
            raise refusal(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
        if part == b"(" and before is not None:
            _refuse_call(before)
        depth -= part in _CLOSING
        before = _Token(kind, part, match.start(), match.end(), depth)
        if _is(before, *_FORBIDDEN_WORDS):
            raise refusal(497, "ACCESS_DENIED", f"{part.decode()} is not available in the embedded ClickHouse")
        yield before
        depth += part in _OPENING


def _refuse_call(token: _Token) -> None:
    if token.kind not in ("word", "quoted"):
        return
    name = token.text.strip(_QUOTES)
    if name.upper() in _FORBIDDEN_CALLS or (token.kind == "quoted" and b"\\" in name):
        called = name.decode(errors="replace")
        raise refusal(497, "ACCESS_DENIED", f"{called}() is not available in the embedded ClickHouse")


def _is(token: _Token, *words: bytes) -> bool:
    return token.kind == "word" and token.text.upper() in words


def _output_format(top: list[_Token]) -> str:
    """The word after the last FORMAT that nothing follows but settings."""
    for index in range(len(top) - 2, -1, -1):
        after = top[index + 2 : index + 3]
        if _is(top[index], b"FORMAT") and top[index + 1].kind == "word" and (not after or _is(after[0], b"SETTINGS")):
            return top[index + 1].text.decode()
    return ""
