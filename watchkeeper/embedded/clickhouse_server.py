"""ClickHouse's HTTP interface over the embedded engine, on loopback.

Run as `python -m watchkeeper.embedded.clickhouse_server`. clickhouse-connect, curl, DBeaver and Grafana talk to it as
to a server; `docs/embedded.md` says what it lacks.
"""

import argparse
import gzip
import json
import signal
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from schemas.errors import BadSettings
from watchkeeper.embedded.engine import Answer, Engine, Refused, Statement

MAX_BODY_BYTES = 256 * 1024 * 1024
IDLE_S = 60
CLOSE_S = 2.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
RESERVED = frozenset(
    [
        "query",
        "database",
        "default_format",
        "compress",
        "decompress",
        "enable_http_compression",
        "session_id",
        "session_timeout",
        "session_check",
        "query_id",
        "user",
        "password",
        "quota_key",
        "role",
        "buffer_size",
        "wait_end_of_query",
        "client_protocol_version",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "stacktrace",
    ]
)
STATUS = {60: 404, 81: 404, 159: 408, 164: 403, 202: 429, 241: 500, 252: 500, 497: 403}
"""HTTP status by ClickHouse's error code; 400 of all others below 1000."""


class TooLarge(Exception):  # noqa: N818
    """The request's body exceeds the limit."""


def decompressed(body: bytes, encoding: str) -> bytes:
    """A request's body, bounded.

    Raises:
        TooLarge: When it would exceed `MAX_BODY_BYTES`.
        ValueError: When the encoding is not known, or the bytes are not of it.
    """
    if encoding in ("", "identity"):
        return body
    if encoding in ("gzip", "deflate"):
        inflate = zlib.decompressobj(zlib.MAX_WBITS | (16 if encoding == "gzip" else 0))
        plain = inflate.decompress(body, MAX_BODY_BYTES)
        if inflate.unconsumed_tail:
            raise TooLarge
        return plain
    if encoding == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        return bytes(lz4.frame.LZ4FrameDecompressor().decompress(body, max_length=MAX_BODY_BYTES))
    if encoding == "zstd":
        from backports import zstd

        return bytes(zstd.ZstdDecompressor().decompress(body, max_length=MAX_BODY_BYTES))
    raise ValueError(f"Content-Encoding {encoding} is not known here; use gzip, deflate, lz4 or zstd")


def foreign(host: str | None, origin: str | None) -> bool:
    """Whether a request comes from a web page of another host, or under another host's name."""
    name = urlsplit(f"//{host}").hostname if host else "localhost"
    return name not in LOOPBACK or (origin is not None and urlsplit(origin).hostname not in LOOPBACK)


def statement_of(
    target: str, body: bytes, *, readonly: bool, format_header: str | None, database: str | None
) -> Statement:
    """What a request asks for."""
    fields = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True, max_num_fields=2000))
    query = fields.get("query", "").encode()
    return Statement(
        sql=query or body,
        data=body if query else b"",
        database=fields.get("database") or database or "",
        format=fields.get("default_format") or format_header or "TabSeparated",
        parameters={name[6:]: value for name, value in fields.items() if name.startswith("param_")},
        settings={name: value for name, value in fields.items() if name not in RESERVED and name[:6] != "param_"},
        readonly=readonly,
    )


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    engine: Engine
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    # Head and body leave in one piece: apart, the second would wait for the other side's delayed acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Queries that change nothing, and the two questions whether we live."""
        if urlsplit(self.path).path in ("/ping", "/") and "query=" not in self.path:
            self._send(200, b"Ok.\n")
        else:
            self._answer(b"", readonly=True)

    def do_HEAD(self) -> None:
        """As GET, for those who only ask whether we live."""
        self._send(200, b"")

    def do_POST(self) -> None:
        """Statements."""
        try:
            body = decompressed(self._body(), self.headers.get("Content-Encoding", "").lower())
        except TooLarge:
            self.close_connection = True
            self._send(413, b"The body exceeds %d bytes; send less at a time.\n" % MAX_BODY_BYTES)
        except (ValueError, zlib.error, RuntimeError, EOFError) as error:
            self._send(400, f"{error}\n".encode())
        else:
            self._answer(body, readonly=False)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY_BYTES:
            raise TooLarge
        return self.rfile.read(length)

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline(64).split(b";")[0], 16):
            if len(body) + size > MAX_BODY_BYTES:
                raise TooLarge
            body += self.rfile.read(size)
            self.rfile.readline(8)
        self.rfile.readline(8)
        return bytes(body)

    def _answer(self, body: bytes, *, readonly: bool) -> None:
        if foreign(self.headers.get("Host"), self.headers.get("Origin")):
            self._send(403, b"This ClickHouse answers programs on this machine only.\n")
            return
        statement = statement_of(
            self.path,
            body,
            readonly=readonly,
            format_header=self.headers.get("X-ClickHouse-Format"),
            database=self.headers.get("X-ClickHouse-Database"),
        )
        try:
            answer = self.engine.run(statement)
        except Refused as refused:
            status = STATUS.get(refused.code, 400 if refused.code < 1000 else 500)
            self._send(status, f"{refused}\n".encode(), {"X-ClickHouse-Exception-Code": str(refused.code)})
        except UnicodeDecodeError:
            self._send(400, b"Code: 62. DB::Exception: the statement is not UTF-8. (SYNTAX_ERROR)\n")
        else:
            self._send(200, answer.body, _headers(answer, statement))

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        if (
            len(body) > 1024
            and "enable_http_compression=1" in self.path
            and "gzip" in self.headers.get("Accept-Encoding", "")
        ):
            body, headers = gzip.compress(body, 1), {**(headers or {}), "Content-Encoding": "gzip"}
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("X-ClickHouse-Server-Display-Name", "watchkeeper")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not logged: there are several each second."""


def _headers(answer: Answer, statement: Statement) -> dict[str, str]:
    summary = {
        "read_rows": str(answer.rows_read),
        "read_bytes": str(answer.bytes_read),
        "written_rows": str(answer.rows_read if statement.sql[:6].upper() == b"INSERT" else 0),
        "written_bytes": "0",
    }
    return {"X-ClickHouse-Summary": json.dumps(summary), "X-ClickHouse-Format": statement.format}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is told."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def serve(path: Path, port: int) -> None:
    """Serves a data folder until SIGTERM or SIGINT.

    Raises:
        BadSettings: When the folder or the port is taken.
    """
    engine = Engine(path)
    try:
        server = _Server(("127.0.0.1", port), type("BoundHandler", (Handler,), {"engine": engine}))
    except OSError as error:
        engine.close(CLOSE_S)
        raise BadSettings(f"Port {port} for ClickHouse is taken ({error.strerror}). Choose another.") from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    try:
        server.serve_forever(poll_interval=0.5)
    finally:
        server.server_close()
        engine.close(CLOSE_S)


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="data folder")
    parser.add_argument("--port", type=int, required=True, help="loopback port")
    arguments = parser.parse_args()
    try:
        serve(arguments.path, arguments.port)
    except BadSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
