"""One `watchkeeper up` on a folder of its own, as a person starts it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.options import ROOT
from benchmarks.services import ProgramFailed
from tests.ports import UP_PORTS, free_ports
from watchkeeper import instance
from watchkeeper.locate import CONFIG_VARIABLE, NO_FILE
from watchkeeper.settings import ENV_PREFIX

READY_S = 60.0
STOP_S = 30.0
LOOK_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A running instance.

    Attributes:
        ready_s: From the start of the command until it said that it is ready.
    """

    process: psutil.Process
    folder: Path
    ready_s: float

    @property
    def told(self) -> instance.Instance:
        """What it tells clients of itself now."""
        return instance.read(self.folder)

    def family(self) -> list[psutil.Process]:
        """All its processes, the first one too."""
        return [self.process, *self.process.children(recursive=True)]

    def roles(self) -> dict[int, str]:
        """Process id to what the process is; ids of helpers have the role of the process that started them."""
        known = {entry.pid: name for name, entry in self.told.processes.items() if entry.pid}
        return {self.process.pid: "supervisor", **known}


@contextmanager
def started(**settings: str) -> Iterator[Started]:
    """Starts the program with its default settings, whatever the environment says, and stops it in order.

    Args:
        settings: Of the environment, without its prefix, in place of defaults.

    Raises:
        ProgramFailed: It did not get ready.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder, output = Path(name) / "data", Path(name) / "up.log"
        command = [sys.executable, "-m", "watchkeeper", "up", "--no-screen", "--data-dir", str(folder)]
        command += ["--port-base", str(free_ports(UP_PORTS))]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(ENV_PREFIX)}
        chosen = {f"{ENV_PREFIX}{key}": value for key, value in settings.items()}
        began_s = time.monotonic()
        with output.open("wb") as sink:
            process = subprocess.Popen(
                command,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=environment | {CONFIG_VARIABLE: NO_FILE} | chosen,
                start_new_session=True,
            )
        try:
            _wait_until_ready(process, folder, output)
            yield Started(
                process=psutil.Process(process.pid), folder=folder, ready_s=round(time.monotonic() - began_s, 3)
            )
        finally:
            _end(process)


def _wait_until_ready(process: "subprocess.Popen[bytes]", folder: Path, output: Path) -> None:
    deadline_s = time.monotonic() + READY_S
    while not _ready(folder):
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise ProgramFailed(f"`watchkeeper up` did not get ready: {output.read_text(errors='replace')[-2000:]}")
        time.sleep(LOOK_S)


def _ready(folder: Path) -> bool:
    try:
        return instance.read(folder).ready
    except instance.NotRunning:
        return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Asks it to stop, and kills what is left of it."""
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in family:
        if child.is_running():
            child.kill()
