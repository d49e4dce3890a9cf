"""ClickHouse over HTTP: the only importer of its client, and the one place where its errors get a family."""

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedIOBase
from types import MappingProxyType
from typing import Any, cast

import clickhouse_connect
import numpy as np
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, DataError, OperationalError
from numpy.typing import NDArray
from urllib3.exceptions import HTTPError

from connect.config import ClickHouseConfig
from schemas.errors import StoreRefused, StoreUnavailable

Parameters = Mapping[str, Any]

# What ClickHouse may stop saying by itself: timeouts, too many queries or parts, no memory, no disk, no replica,
# shutting down, read-only for now.
_PASSING = frozenset({159, 160, 164, 202, 203, 209, 210, 216, 236, 241, 242, 243, 252, 279, 319, 394, 425, 439, 999})
_UNKNOWN_CODE = 1000
_READONLY_CODE = 164
_READ_ONLY = {"readonly": 2}
"""Statements may set settings for themselves, and read."""

_AS_IT_IS = {"input_format_native_allow_types_conversion": 0}

_CODES = re.compile(r"(?:Received ClickHouse exception, code: \d+, server response: )?(?:Code: \d+\. DB::Exception: )+")
_TAIL = re.compile(r"(?:\s*Expected one of: .*?)?(?:\s*\(version [^)]*\))*(?:\s*\(for url [^)]*\))?\s*$", re.DOTALL)

_REPEATED = re.compile(r"(\([A-Z_]+\))(?:\s*\(version [^)]*\)\.?\s*\1)+")
"""An error that one part of ClickHouse takes from another says its name again."""


class Store:
    """One ClickHouse. Thread-safe; connects at the first use.

    Every insert must be idempotent: the client sends one again when a connection was closed under it.
    """

    def __init__(self, config: ClickHouseConfig) -> None:
        self._config = config
        self._client: Client | None = None
        self._known: dict[tuple[str, ...], list[ClickHouseType]] = {}

    def _connected(self) -> Client:
        client = self._client
        if client is None:
            config = self._config
            client = self._client = clickhouse_connect.get_client(
                host=config.host,
                port=config.port,
                username=config.username,
                password=config.password.get_secret_value(),
                secure=config.secure,
                ca_cert=config.ca_file or None,
                connect_timeout=min(5, int(config.timeout_s)),
                send_receive_timeout=int(config.timeout_s),
                # One session for all threads would make them wait for each other, and be refused.
                autogenerate_session_id=False,
                compress=False,
                query_limit=0,
                settings={"async_insert": 0},
            )
        return client

    def _errors(self) -> "_families":
        return _families(f"{self._config.host}:{self._config.port}")

    def command(self, sql: str, *, parameters: Parameters | None = None, settings: Parameters | None = None) -> None:
        """Executes a statement that gives no rows.

        Raises:
            StoreUnavailable: The same statement may succeed later.
            StoreRefused: It will not.
        """
        with self._errors():
            self._connected().command(sql, parameters=_given(parameters), settings=_given(settings))

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query. Values are bound by the server: `{name:Type}`. Raises as `command`."""
        with self._errors():
            return [tuple(row) for row in self._connected().query(sql, parameters=_given(parameters)).result_rows]

    def numbers(self, sql: str, row: np.dtype[np.void], parameters: Parameters | None = None) -> NDArray[np.void]:
        """Rows that consist of numbers, as one array: millions of them in the time of some thousands of `rows`.

        Args:
            row: Fields of the width, and in the order, that the statement gives them in.

        Raises as `raw`.
        """
        return np.frombuffer(b"".join(self.raw(sql, "RowBinary", parameters)), row)

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Inserts columns of equal length in one statement. Returns when ClickHouse has them.

        Raises:
            StoreUnavailable: As `command`.
            StoreRefused: As `command`, and when a value does not fit its column.
        """
        names = list(columns)
        with self._errors():
            types = self._types(table, names)
        # A bad value is found only while it is written: the client raises what it comes upon.
        with self._errors(), _fitting(table):
            self._connected().insert(
                table, list(columns.values()), column_names=names, column_types=types, column_oriented=True
            )

    def insert_native(self, table: str, names: Sequence[str], blocks: bytes) -> None:
        """Inserts blocks of format Native in one statement, see `connect.native`. Raises as `command`.

        Their types must be those of the table: ClickHouse would cut off what does not fit.
        """
        with self._errors():
            # A view of the bytes: the client would put its statement before a copy of them.
            self._connected().raw_insert(
                table, names, insert_block=cast("Any", memoryview(blocks)), fmt="Native", settings=_AS_IT_IS
            )

    def _types(self, table: str, names: Sequence[str]) -> list[ClickHouseType]:
        """Types of columns; asked once, since the client would ask before each insert."""
        key = (table, *names)
        if key not in self._known:
            self._known[key] = list(self._connected().create_insert_context(table, names).column_types)
        return self._known[key]

    def raw(
        self,
        sql: str,
        fmt: str | None,
        parameters: Parameters | None = None,
        *,
        settings: Mapping[str, int | str] = MappingProxyType({}),
    ) -> Iterator[bytes]:
        """The answer's bytes in any of ClickHouse's output formats, piece by piece. It cannot change anything.

        Args:
            fmt: The format; None where the statement names it.
            settings: Of ClickHouse, such as limits.

        Raises:
            StoreUnavailable: As `command`.
            StoreRefused: As `command`, and when the statement would change something.
        """
        client, given, asked = self._connected, _given(parameters), {**_READ_ONLY, **settings}
        with (
            _reading(),
            self._errors(),
            cast("BufferedIOBase", client().raw_stream(sql, fmt=fmt, parameters=given, settings=asked)) as stream,
        ):
            while piece := stream.read(65_536):
                yield piece

    def ping(self) -> bool:
        """Whether it answers."""
        try:
            with self._errors():
                return bool(self._connected().ping())
        except (StoreUnavailable, StoreRefused):
            return False

    def close(self) -> None:
        """Closes the connections. Safe twice."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _given(values: Parameters | None) -> dict[str, Any] | None:
    return dict(values) if values else None


class _families:  # noqa: N801  (reads as a word in a with statement)
    """Turns the client's errors into ours.

    Args:
        address: Of the ClickHouse that was asked, for the message.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DatabaseError) and not isinstance(error, OperationalError):
            code = _code(error)
            if code is not None and code not in _PASSING:
                raise StoreRefused(said(str(error))) from error
            raise StoreUnavailable(said(str(error))) from error
        if isinstance(error, UnicodeEncodeError):
            raise StoreRefused("the statement, or a value in it, is not UTF-8") from error
        if isinstance(error, ClickHouseError | HTTPError | OSError):
            if "Max retries exceeded" in str(error):
                raise StoreUnavailable(
                    f"ClickHouse does not answer at {self._address}. Is it running, and is its address right?"
                ) from error
            raise StoreUnavailable(f"ClickHouse: {error}") from error


class _reading:  # noqa: N801
    """Turns a refusal to write into one that says who may."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, StoreUnavailable) and getattr(error.__cause__, "code", None) == _READONLY_CODE:
            raise StoreRefused("the statement would change something, and queries only read") from error


def said(words: str) -> str:
    """An error of ClickHouse without what its client, its server and its parser put around it."""
    without = _TAIL.sub("", _CODES.sub("", words))
    without = _REPEATED.sub(r"\1", without)
    return re.sub(r"\s+", " ", without).strip() or words


class _fitting:  # noqa: N801
    """Turns what the client raises over a value into a refusal."""

    def __init__(self, table: str) -> None:
        self._table = table

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DataError | UnicodeEncodeError | OverflowError | struct.error):
            raise StoreRefused(f"a value does not fit its column of {self._table}: {error}") from error


def _code(error: DatabaseError) -> int | None:
    code = getattr(error, "code", None)
    return int(code) if isinstance(code, int) and code < _UNKNOWN_CODE else None
