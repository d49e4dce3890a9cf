"""What a process says of itself: prometheus-client metrics and a status document, on a loopback port."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

Figures = Mapping[str, float | int | str | bool | None]


class Telemetry:
    """One process's metrics (`GET /metrics`) and its status (`GET /status`, JSON).

    Args:
        process: Name of the process, as `status` shows it.
        port: Loopback port; 0 lets the system choose, None serves nothing.
        host: Address to bind; loopback unless the process runs alone in a container.
    """

    def __init__(self, process: str, *, port: int | None, host: str = "127.0.0.1") -> None:
        self.process = process
        self.registry = CollectorRegistry()
        self._figures: Callable[[], Figures] = _not_yet
        self._host = host
        self._port = port
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int | None:
        """The port in use, once started."""
        return self._server.server_address[1] if self._server else self._port

    def show(self, figures: Callable[[], Figures]) -> None:
        """Sets what `/status` answers. It is called from a thread of the server, and must not block.

        The figure `healthy` decides between 200 and 503. Before the first call the process is not healthy yet.
        """
        self._figures = figures

    def __enter__(self) -> Self:
        if self._port is not None:
            self._server = ThreadingHTTPServer((self._host, self._port), _handler(self))
            self._server.daemon_threads = True
            threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status code, content type and body of one request."""
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(self.registry)
        if path == "/status":
            figures = {"process": self.process, "healthy": True, **self._figures()}
            return (200 if figures["healthy"] else 503), "application/json", json.dumps(figures).encode()
        return 404, "text/plain", b"only /metrics and /status are here\n"


def _not_yet() -> Figures:
    return {"healthy": False}


def _handler(telemetry: Telemetry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            code, content_type, body = telemetry.answer(self.path)
            self.send_response(code)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Requests are not logged: one each second from each watcher would hide what matters."""

    return Handler
