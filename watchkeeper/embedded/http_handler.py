"""One connection of ClickHouse's HTTP interface."""

import json
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler
from typing import IO, cast
from urllib.parse import parse_qsl, urlsplit

from watchkeeper.embedded.engine import Answer, Engine
from watchkeeper.embedded.http_bodies import MAX_BODY_BYTES, BadBody, Encoder, TooLarge, decoded, encoder, received
from watchkeeper.embedded.http_statement import Request, foreign, request_of, status_of
from watchkeeper.embedded.statements import Refused

IDLE_S = 60
HELD_BYTES = 1024 * 1024
"""Up to so much an answer is held back, so that it can be sent with its length, or an error with its status."""

_WORTH_COMPRESSING_BYTES = 1024
_ALIVE = ("/", "/ping", "/replicas_status")
_TEXT = {"Content-Type": "text/plain; charset=UTF-8"}
_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Parquet": "application/octet-stream",
    "Arrow": "application/octet-stream",
}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    engine: Engine
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    # Head and body leave in one piece: apart, the second would wait for the other side's delayed acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Queries that change nothing, and the questions whether we live."""
        target = urlsplit(self.path)
        if target.path not in _ALIVE:
            self._send(404, f"There is no handle {target.path}\n".encode(), _TEXT)
        elif target.path != "/" or "query" not in dict(parse_qsl(target.query)):
            self._send(200, b"Ok.\n", _TEXT)
        else:
            self._execute(b"", readonly=True)

    def do_HEAD(self) -> None:
        """As GET, without the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Statements."""
        headers = self.headers
        chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        try:
            body = received(cast("IO[bytes]", self.rfile), length=headers.get("Content-Length"), chunked=chunked)
            body = decoded(body, headers.get("Content-Encoding", "").strip().lower())
        except TooLarge:
            self.close_connection = True
            self._send(413, b"The body exceeds %d bytes: send less at a time.\n" % MAX_BODY_BYTES, _TEXT)
        except BadBody as error:
            self.close_connection = True
            self._send(400, f"Bad request: {error}.\n".encode(), _TEXT)
        else:
            self._execute(body, readonly=False)

    def _execute(self, body: bytes, *, readonly: bool) -> None:
        if foreign(self.headers):
            self._send(403, b"This ClickHouse answers programs on this machine only.\n", _TEXT)
            return
        try:
            request = request_of(self.path, self.headers, body, readonly=readonly)
            with self.engine.answer(request.statement) as answer:
                self._give(answer, request)
        except Refused as refused:
            headers = _TEXT | {"X-ClickHouse-Exception-Code": str(refused.code)}
            self._send(status_of(refused.code), f"{refused}\n".encode(), headers)

    def _give(self, answer: Answer, request: Request) -> None:
        limit = None if request.whole or self.request_version == "HTTP/1.0" else HELD_BYTES
        with tempfile.SpooledTemporaryFile(max_size=8 * HELD_BYTES) as held:
            complete = _hold(answer.pieces, held, limit)
            size = held.tell()
            held.seek(0)
            headers = _headers(answer, self.engine.timezone)
            chosen = encoder(self.headers.get("Accept-Encoding", "")) if request.compressible else None
            if complete and (chosen is None or size < _WORTH_COMPRESSING_BYTES):
                self._send_head(200, headers | {"Content-Length": str(size)})
                self._write(_read(held))
            elif chosen is None:
                self._send_head(200, headers | {"Transfer-Encoding": "chunked"})
                self._write_chunks(_read(held, answer.pieces))
            else:
                name, press = chosen
                self._send_head(200, headers | {"Transfer-Encoding": "chunked", "Content-Encoding": name})
                self._write_chunks(_pressed(_read(held, answer.pieces), press))

    def _write(self, pieces: Iterable[bytes]) -> None:
        if self.command != "HEAD":
            self.wfile.writelines(pieces)
        self.wfile.flush()

    def _write_chunks(self, pieces: Iterable[bytes]) -> None:
        try:
            self._write(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
        except Refused as refused:
            # The status has been sent. The words follow the data, and the end of the body never comes: no client can
            # take what it got for the whole.
            self.close_connection = True
            words = f"\n{refused}\n".encode()
            self._write([b"%x\r\n%b\r\n" % (len(words), words)])
        else:
            self._write([b"0\r\n\r\n"])

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._send_head(status, {**headers, "Content-Length": str(len(body))})
        self._write([body])

    def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("X-ClickHouse-Server-Display-Name", "watchkeeper")
        self.end_headers()

    def version_string(self) -> str:
        """Name of the program, without those of its parts."""
        return "watchkeeper"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not logged: there are several each second."""


def _hold(pieces: Iterator[bytes], held: IO[bytes], limit: int | None) -> bool:
    """Takes pieces until they end, or exceed the limit. Whether they ended."""
    for piece in pieces:
        held.write(piece)
        if limit is not None and held.tell() > limit:
            return False
    return True


def _read(held: IO[bytes], pieces: Iterable[bytes] = ()) -> Iterator[bytes]:
    while piece := held.read(HELD_BYTES):
        yield piece
    yield from pieces


def _pressed(pieces: Iterable[bytes], press: Encoder) -> Iterator[bytes]:
    for piece in pieces:
        yield press.compress(piece)
    yield press.flush()


def _headers(answer: Answer, timezone: str) -> dict[str, str]:
    return {
        "Content-Type": _TYPES.get(answer.format, _TEXT["Content-Type"]),
        "X-ClickHouse-Format": answer.format,
        "X-ClickHouse-Query-Id": str(uuid.uuid4()),
        "X-ClickHouse-Summary": json.dumps({name: str(count) for name, count in asdict(answer.counts).items()}),
        "X-ClickHouse-Timezone": timezone,
    }
