"""ClickHouse's HTTP interface over the embedded engine, on loopback.

    python -m watchkeeper.embedded.clickhouse_server --path FOLDER --port PORT

`clickhouse-connect`, curl and other programs talk to it as to a server; `docs/embedded.md` says what it lacks.
"""

import argparse
import os
import signal
import socket
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from schemas.errors import BadSettings
from watchkeeper.embedded.engine import Engine
from watchkeeper.embedded.http_handler import Handler

MAX_CONNECTIONS = 128
CLOSE_S = 2.0
LOOK_S = 0.2
CHECK_S = 0.5
_GIB = 1024**3
MEMORY_BYTES = 2 * _GIB
KEEP_FREE_BYTES = _GIB // 4


class _Server(ThreadingHTTPServer):
    """One thread for each connection, and no more connections than `MAX_CONNECTIONS`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, port: int, engine: Engine) -> None:
        self._places = threading.Semaphore(MAX_CONNECTIONS)
        super().__init__(("127.0.0.1", port), type("BoundHandler", (Handler,), {"engine": engine}))

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """Gives the connection a thread, or closes it when there are too many."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """One connection's thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is told."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def serve(path: Path, port: int, *, memory_bytes: int, keep_free_bytes: int) -> None:
    """Serves a data folder until SIGTERM or SIGINT; then what runs is finished, and the folder closed.

    Raises:
        BadSettings: When the folder or the port is taken.
    """
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    engine = Engine(path, memory_bytes=memory_bytes, keep_free_bytes=keep_free_bytes)
    try:
        server = _Server(port, engine)
    except OSError as error:
        engine.stop(CLOSE_S)
        raise BadSettings(f"Port {port} for ClickHouse is taken ({error.strerror}). Choose another one.") from None
    threading.Thread(target=server.serve_forever, args=(LOOK_S,), name="accept", daemon=True).start()
    while not told.wait(CHECK_S):
        engine.failed_writes.check()  # of merges
    server.shutdown()
    server.server_close()
    engine.stop(CLOSE_S)


def main() -> int:
    """The program; its exit code."""
    parser = argparse.ArgumentParser(prog="watchkeeper.embedded.clickhouse_server", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="data folder")
    parser.add_argument("--port", type=int, required=True, help="loopback port")
    parser.add_argument("--memory-bytes", type=int, help="limit of all statements together", default=_memory_bytes())
    parser.add_argument("--keep-free-bytes", type=int, help="what is left of the disk", default=KEEP_FREE_BYTES)
    arguments = parser.parse_args()
    try:
        serve(
            arguments.path.resolve(),
            arguments.port,
            memory_bytes=arguments.memory_bytes,
            keep_free_bytes=arguments.keep_free_bytes,
        )
    except BadSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _memory_bytes() -> int:
    """Two gibibytes, and no more than half of the machine's memory."""
    return min(MEMORY_BYTES, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)


if __name__ == "__main__":
    code = main()
    # Without the interpreter's own end: threads of connections that are still open stand in the engine's code.
    sys.stderr.flush()
    os._exit(code)
