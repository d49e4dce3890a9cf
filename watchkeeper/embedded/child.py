"""Starting a process that must not outlive us, and waiting until it answers."""

import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from schemas.errors import BadSettings, TransientError

_PR_SET_PDEATHSIG = 1
LOOK_S = 0.01
KILL_S = 2.0


def die_with_parent() -> None:
    """To be called in a child: the kernel kills it when its parent dies. Linux only; elsewhere it does nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def require_free(port: int, what: str) -> None:
    """Refuses a port that is taken.

    Raises:
        BadSettings: With the remedy.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BadSettings(
                f"Port {port} for {what} is taken ({error.strerror}). Choose other ports with --port-base N."
            ) from None


class Child:
    """One child process with its output in a file.

    Args:
        name: What it is, for messages.
        command: Program and arguments.
        log_path: Where its output is appended.
    """

    def __init__(self, name: str, command: Sequence[str], log_path: Path) -> None:
        self.name = name
        self._command = list(command)
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs or before it was started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Starts it in a session of its own, so that Ctrl-C reaches only us.

        Raises:
            BadSettings: When the program is missing or cannot be run here.
        """
        try:
            with self._log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=die_with_parent,  # noqa: PLW1509  (the parent has one thread at this point, or few)
                )
        except OSError as error:
            raise BadSettings(f"Cannot run {self._command[0]} for the {self.name}: {error.strerror}.") from None

    def wait_until(self, ready: Callable[[], bool], within_s: float) -> None:
        """Returns when `ready()` says so.

        Raises:
            TransientError: When the process ended before, or did not get ready in time; with what it printed last.
        """
        deadline = time.monotonic() + within_s
        while not ready():
            if self.returncode is not None:
                raise TransientError(f"The {self.name} ended with code {self.returncode}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise TransientError(f"The {self.name} did not answer within {within_s:g} s: {self.last_words()}")
            time.sleep(LOOK_S)

    def last_words(self) -> str:
        """The last line of its output."""
        lines = self._log_path.read_text(errors="replace").splitlines() if self._log_path.exists() else []
        return lines[-1][:300] if lines else "it printed nothing"

    def stop(self, within_s: float) -> int | None:
        """Asks it to end, and kills it when it does not. Safe without start, and twice. Its exit code."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(within_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(KILL_S)
        return process.returncode


def answers(port: int) -> bool:
    """Whether something listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
