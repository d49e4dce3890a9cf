"""The ClickHouse engine in this process: statements in, bytes out."""

import re
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import chdb

from schemas.errors import BadSettings
from watchkeeper.embedded.insert import Insert, split_insert

MAX_RUNNING = 8
WAIT_S = 20.0
DEFAULTS = {"max_threads": "2", "max_insert_threads": "1", "async_insert": "0", "max_memory_usage": "2000000000"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CODE = re.compile(r"Code: (\d+)\.")


class Refused(Exception):  # noqa: N818  (an answer, not a fault of ours)
    """What the engine said against a statement.

    Args:
        code: ClickHouse's error code.
        message: As ClickHouse words it.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement as the HTTP interface received it.

    Attributes:
        sql: The statement; an INSERT may carry its data.
        data: Data of an INSERT that came apart from it.
        parameters: Values of `{name:Type}`, escaped as ClickHouse's HTTP interface expects them.
    """

    sql: bytes
    data: bytes = b""
    database: str = ""
    format: str = "TabSeparated"
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave."""

    body: bytes
    rows_read: int
    bytes_read: int


class Engine:
    """One data folder. Each statement has a session of its own, so no setting outlives it.

    Raises:
        BadSettings: When another process holds the folder.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path)
        self._scratch = path / "scratch"
        self._scratch.mkdir(exist_ok=True)
        for left in self._scratch.iterdir():
            left.unlink()
        try:
            # The engine lives as long as this connection.
            self._keep = chdb.connect(self._path)
        except (RuntimeError, chdb.ChdbError) as error:
            if "lock" in str(error).lower():
                raise BadSettings(
                    f"The data folder {path} is in use by another process. Stop it, or name another folder."
                ) from None
            raise BadSettings(f"ClickHouse cannot open {path}: {error}") from None
        self._running = threading.Semaphore(MAX_RUNNING)

    def run(self, statement: Statement) -> Answer:
        """Executes a statement.

        Raises:
            Refused: With ClickHouse's code and words.
        """
        if not self._running.acquire(timeout=WAIT_S):
            raise Refused(202, f"Code: 202. DB::Exception: Too many simultaneous queries: {MAX_RUNNING} run already")
        try:
            return self._run(statement)
        finally:
            self._running.release()

    def _run(self, statement: Statement) -> Answer:
        session = chdb.connect(self._path)
        try:
            if statement.database:
                session.query(f"USE {_quoted_name(statement.database)}")
            for name, value in {**DEFAULTS, **statement.settings}.items():
                session.query(f"SET {_checked(name)} = {_quoted(value)}")
            if statement.readonly:
                session.query("SET readonly = 1")
            return self._execute(session, statement)
        except chdb.ChdbError as error:
            code = _CODE.search(str(error))
            raise Refused(int(code[1]) if code else 1002, str(error)) from None
        finally:
            session.close()

    def _execute(self, session: "chdb.state.sqlitelike.Connection", statement: Statement) -> Answer:
        insert = split_insert(statement.sql)
        if insert is not None:
            return self._insert(session, insert, statement)
        sql = (statement.sql + b"\n" + statement.data if statement.data else statement.sql).decode()
        result = session.query(sql, statement.format, params=dict(statement.parameters))
        return Answer(result.bytes(), result.rows_read(), result.bytes_read())

    def _insert(self, session: "chdb.state.sqlitelike.Connection", insert: Insert, statement: Statement) -> Answer:
        with tempfile.NamedTemporaryFile(dir=self._scratch) as file:
            file.write(insert.data)
            file.write(statement.data)
            file.flush()
            head = insert.head.decode()
            settings = re.search(r"\bSETTINGS\b", head, re.IGNORECASE)
            target, clause = (head[: settings.start()], head[settings.start() :]) if settings else (head, "")
            sql = f"{target} FROM INFILE {_quoted(file.name)} {clause} FORMAT {insert.format}"
            result = session.query(sql, statement.format, params=dict(statement.parameters))
        return Answer(b"", result.rows_read(), result.bytes_read())

    def close(self, within_s: float) -> None:
        """Waits for what runs, then closes the folder."""
        for _ in range(MAX_RUNNING):
            if not self._running.acquire(timeout=within_s):
                break
        self._keep.close()


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise Refused(115, f"Code: 115. DB::Exception: Unknown setting {name!r}. (UNKNOWN_SETTING)")
    return name


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quoted_name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
