"""The ClickHouse engine in this process: statements in, bytes out."""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import BadSettings
from watchkeeper.embedded import engine_config
from watchkeeper.embedded.failed_writes import FailedWrites
from watchkeeper.embedded.statements import Insert, Query, Refused, check_values, read, refusal

if TYPE_CHECKING:
    from chdb.state.sqlitelike import Connection, InsertResult

MAX_RUNNING = 8
WAIT_S = 20.0
KILL_S = 0.5
APPEND_BYTES = 4 * 1024 * 1024
DEFAULT_UUID = "77617463-686b-4565-8065-722064656661"
# The engine's connection string cannot name every folder (`?` and `&` mean something in it), so it is the working one.
_HERE = "."
_HELD = b"_watchkeeper_held"
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CODE = re.compile(r"Code: (\d+)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement as the HTTP interface received it.

    Attributes:
        text: The statement; an INSERT may carry its data.
        data: Data of an INSERT that came apart from it.
        parameters: Values of `{name:Type}`, escaped as ClickHouse's HTTP interface expects them.
        readonly: Whether it may change nothing but its own settings.
    """

    text: bytes
    data: bytes = b""
    database: str = ""
    format: str = "TabSeparated"
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    readonly: bool = False


@dataclass(slots=True)
class Counts:
    """What a statement has read and written so far."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0

    def add(self, result: Any) -> None:
        """Takes the counts of a result, or of one piece of it."""
        self.read_rows += result.storage_rows_read()
        self.read_bytes += result.storage_bytes_read()
        self.written_rows += result.rows_written()
        self.written_bytes += result.bytes_written()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gives.

    Attributes:
        format: Name of the output format.
        pieces: The answer's bytes. Reading them may raise `Refused`.
        counts: Complete when the pieces have been read.
    """

    format: str
    pieces: Iterator[bytes]
    counts: Counts


class Engine:
    """One data folder, and with it one process: the folder becomes its working directory.

    Each statement has a session of its own, so that no setting and no temporary table outlives it.

    Args:
        folder: The data folder; created if missing.
        memory_bytes: What all statements and caches may use together.
        keep_free_bytes: When the disk has no more than this, rows are refused, and parts are not merged.

    Raises:
        BadSettings: When another process holds the folder, or the engine cannot be used here.
    """

    def __init__(self, folder: Path, *, memory_bytes: int, keep_free_bytes: int) -> None:
        self._chdb = _engine_module()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = engine_config.lock(folder)
        engine_config.write(
            folder, memory_bytes=memory_bytes, keep_free_bytes=keep_free_bytes, processors=os.cpu_count() or 1
        )
        os.chdir(folder)
        try:
            # The engine lives as long as this connection; the others see what it was started with.
            self._keep: Connection = self._chdb.connect(f"{_HERE}?config-file={engine_config.CONFIG}")
        except RuntimeError as error:
            raise BadSettings(f"ClickHouse cannot open the data folder {folder}: {error}") from None
        self._slots = threading.Semaphore(MAX_RUNNING)
        self._stopping = False
        self.failed_writes = FailedWrites(self._chdb.connect(_HERE))
        _plain_default(self._keep)
        self.timezone, self.version = self._keep.query("SELECT timezone(), version()", "TSV").bytes().decode().split()

    @contextmanager
    def answer(self, statement: Statement) -> Iterator[Answer]:
        """Executes a statement, and holds what it needs until its answer has been read.

        Raises:
            Refused: With ClickHouse's code and words.
        """
        plan = read(statement.text)
        if self._stopping:
            raise refusal(236, "ABORTED", "The server is shutting down")
        if not self._slots.acquire(timeout=WAIT_S):
            raise refusal(202, "TOO_MANY_SIMULTANEOUS_QUERIES", f"Too many simultaneous queries, limit {MAX_RUNNING}")
        try:
            with _in_its_words():
                session = self._chdb.connect(_HERE)
            with closing(session):
                with _in_its_words():
                    _prepare(session, statement)
                answer = self._execute(session, statement, plan)
                with closing(answer.pieces):  # type: ignore[type-var]  # a generator
                    yield answer
        finally:
            self._slots.release()

    def _execute(self, session: "Connection", statement: Statement, plan: Insert | Query) -> Answer:
        counts = Counts()
        if isinstance(plan, Insert) and not (plan.format == "Values" and statement.parameters):
            return Answer(plan.format, self._stored(_insert(session, plan, statement, counts), counts), counts)
        if plan.format == "Values":
            check_values(statement.data)
        # Statement and body are one text, wherever it is cut.
        text = statement.text + b"\n" + statement.data if statement.data else statement.text
        in_pieces = isinstance(plan, Query) and plan.in_pieces(statement.format)
        output = plan.format if isinstance(plan, Query) and plan.format else statement.format
        pieces = (_stream if in_pieces else _whole)(session, text, statement, counts)
        return Answer(output, self._stored(pieces, counts), counts)

    def _stored(self, pieces: Iterator[bytes], counts: Counts) -> Iterator[bytes]:
        for piece in pieces:
            if counts.written_rows:
                self.failed_writes.check()
            yield piece

    def stop(self, within_s: float) -> None:
        """Waits for what runs, kills it when it takes longer, and closes the folder."""
        self._stopping = True
        if not self._drained(time.monotonic() + within_s):
            self._keep.query("KILL QUERY WHERE 1 ASYNC", "Null")
            self._drained(time.monotonic() + KILL_S)
        self._keep.close()

    def _drained(self, deadline_s: float) -> bool:
        free = [self._slots.acquire(timeout=max(0.0, deadline_s - time.monotonic())) for _ in range(MAX_RUNNING)]
        for taken in free:
            if taken:
                self._slots.release()
        return all(free)


def _engine_module() -> Any:
    # chDB imports these when they are there. Nothing here needs them, and they take a sixth of the process's memory.
    for name in ("numpy", "pandas", "pyarrow"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    try:
        import chdb
    except ImportError as error:
        raise BadSettings(
            f"The embedded ClickHouse is not installed for this platform ({error}); it exists for Linux and macOS, on"
            " Windows use WSL. Install chdb again, or name a ClickHouse of your own with --clickhouse HOST:PORT."
        ) from None
    return chdb


def _plain_default(session: "Connection") -> None:
    """Makes `default` an ordinary database: the engine shows the files of its folder as tables of it.

    Its identity is always the same, so that it finds its tables again. The engine does not expect the database that it
    begins with among those on disk, and refuses one that is there.
    """
    session.query("DETACH DATABASE default", "Null")
    Path("metadata/default.sql").unlink(missing_ok=True)
    session.query(f"ATTACH DATABASE default UUID '{DEFAULT_UUID}' ENGINE = Atomic", "Null")


def _prepare(session: "Connection", statement: Statement) -> None:
    if statement.database:
        session.query(f"USE {_quoted(statement.database, '`')}", "Null")
    changes = [f"{_checked(name)} = {_quoted(value)}" for name, value in statement.settings.items()]
    if statement.readonly and statement.settings.get("readonly", "0") == "0":
        changes.append("readonly = 2")
    if changes:
        session.query(f"SET {', '.join(changes)}", "Null")


def _insert(session: "Connection", insert: Insert, statement: Statement, counts: Counts) -> Iterator[bytes]:
    if statement.parameters and b"{" in insert.head:
        raise refusal(48, "NOT_IMPLEMENTED", "Parameters in an INSERT with data are not in the embedded ClickHouse")
    if statement.readonly or statement.settings.get("readonly", "0") != "0":
        raise refusal(164, "READONLY", "Cannot execute query in readonly mode")  # before its rows are looked at
    if insert.format == "Values":
        check_values(statement.data)
    with _in_its_words():
        if insert.table is None:
            written = _append(session, insert, insert.head, statement.data)
        else:
            written = _held(session, insert, insert.table, statement.data)
    counts.written_rows, counts.written_bytes = written.rows_written, written.bytes_written
    yield b""


def _held(session: Any, insert: Insert, table: tuple[int, int], data: bytes) -> "InsertResult":
    """Puts the rows down beside the table first: of a statement with data the engine does not say that it failed.

    It does of one without.
    """
    name, columns = insert.head[slice(*table)], insert.columns or b"*"
    session.query(b"CREATE TEMPORARY TABLE %b (%b) ENGINE = Memory" % (_HELD, _columns(session, name)), "Null")
    written = _append(session, insert, insert.head[: table[0]] + _HELD + insert.head[table[1] :], data)
    held = int(session.query(b"SELECT count() FROM " + _HELD, "TSV").bytes())
    if held != written.rows_written:
        raise refusal(241, "MEMORY_LIMIT_EXCEEDED", f"Of {written.rows_written} rows {held} could be held")
    session.query(b"%b SELECT %b FROM %b" % (insert.head, columns, _HELD), "Null")
    return written


def _columns(session: Any, table: bytes) -> bytes:
    """The columns of a table that rows bring along, with their defaults: data may leave fields out."""
    described = session.query(b"DESCRIBE TABLE " + table, "JSONCompactEachRow").bytes()
    columns = []
    for name, type_, default, expression, *_ in map(json.loads, described.splitlines()):
        if default in ("", "DEFAULT"):
            columns.append(f"{_quoted(name, '`')} {type_} {default} {expression}")
    return ", ".join(columns).encode()


def _append(session: "Connection", insert: Insert, head: bytes, data: bytes) -> "InsertResult":
    with session.send_insert(head.decode() + "\n", insert.format) as inserter:
        for part in (insert.data, data):
            for start in range(0, len(part), APPEND_BYTES):
                inserter.append(part[start : start + APPEND_BYTES])
        written: InsertResult = inserter.finish()
    return written


def _stream(session: Any, text: bytes, statement: Statement, counts: Counts) -> Iterator[bytes]:
    with _in_its_words(), session.send_query(text, statement.format, params=dict(statement.parameters)) as stream:
        for piece in stream:
            counts.add(piece)
            yield piece.bytes()


def _whole(session: Any, text: bytes, statement: Statement, counts: Counts) -> Iterator[bytes]:
    with _in_its_words():
        result = session.query(text, statement.format, params=dict(statement.parameters))
    counts.add(result)
    yield result.bytes()


@contextmanager
def _in_its_words() -> Iterator[None]:
    """Turns the engine's errors into refusals with its own code and words."""
    try:
        yield
    except Refused:
        raise
    except (RuntimeError, UnicodeDecodeError) as error:
        words = str(error)
        code = _CODE.search(words)
        if code is None:
            raise refusal(1002, "UNKNOWN_EXCEPTION", words) from None
        raise Refused(int(code[1]), words[code.start() :]) from None


def _checked(name: str) -> str:
    if not _SETTING.match(name):
        raise refusal(115, "UNKNOWN_SETTING", f"Unknown setting {name!r}")
    return name


def _quoted(value: str, quote: str = "'") -> str:
    return quote + value.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote
