"""The embedded ClickHouse: the chDB engine in a process of its own, behind ClickHouse's HTTP interface."""

import http.client
import sys
from pathlib import Path

from watchkeeper.embedded.child import Child, require_free

READY_S = 30.0


class EmbeddedClickHouse:
    """Keeps its tables in a folder; what it acknowledged survives its being killed."""

    name = "clickhouse"

    def __init__(self, path: Path, port: int, log_path: Path) -> None:
        self.port = port
        self._path = path
        self._log_path = log_path
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """Host and port of its HTTP interface."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._child.pid if self._child else None

    def command(self) -> list[str]:
        """Program and arguments."""
        program = [sys.executable, "-m", "watchkeeper.embedded.clickhouse_server"]
        return [*program, "--path", str(self._path), "--port", str(self.port)]

    def start(self) -> None:
        """See `Service.start`."""
        require_free(self.port, "the embedded ClickHouse")
        self._child = Child(self.name, self.command(), self._log_path)
        self._child.start()
        self._child.wait_until(lambda: alive(self.port), READY_S)

    def stop(self, within_s: float) -> None:
        """See `Service.stop`."""
        if self._child is not None:
            self._child.stop(within_s)


def alive(port: int) -> bool:
    """Whether it answers `/ping`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
