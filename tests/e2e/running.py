"""Driving the program as a person does: start it, ask it, wait for what it shows, stop it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tests.ports import UP_PORTS, free_ports

T = TypeVar("T")


def eventually(what: str, ask: Callable[[], T | None], *, within_s: float, every_s: float = 0.25) -> T:
    """The first truthy answer; fails with `what` and the last answer when there is none in time."""
    deadline = time.monotonic() + within_s
    answer: T | None = None
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(every_s)
    raise AssertionError(f"not within {within_s:g} s: {what}; last answer: {answer!r}")


@dataclass(frozen=True, slots=True)
class Running:
    """One instance of `watchkeeper up` and its data folder."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    output: Path

    def ask(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Standard output of a client subcommand on this instance."""
        command = [sys.executable, "-m", "watchkeeper", *arguments, "--data-dir", str(self.data_dir)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        if check:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query; none while ClickHouse is away."""
        answer = self.ask("query", sql, "--format", "JSONEachRow", check=False)
        return [json.loads(line) for line in answer.splitlines() if line.startswith("{")]

    def status(self) -> dict[str, Any]:
        """The document of `status --json`."""
        answer: dict[str, Any] = json.loads(self.ask("status", "--json", check=False) or "{}")
        return answer

    def tail(self) -> str:
        """What it printed last."""
        return self.output.read_text(errors="replace")[-4000:]

    def stop(self, *, within_s: float = 20.0) -> int:
        """SIGINT, as Ctrl-C sends it; the exit code. Fails if any process of it is left."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(within_s)
        _, left = psutil.wait_procs(family, timeout=1)
        assert not left, f"left behind: {left}"
        return code


@contextmanager
def running(
    data_dir: Path,
    output: Path,
    *arguments: str,
    port_base: int | None = None,
    module: str = "watchkeeper",
    env: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """`watchkeeper up` on free ports, healthy; killed at the end if the test did not stop it.

    Args:
        port_base: Of an instance that was there before; None: any.
        module: What is run in the place of the program.
        env: Variables beside ours.
    """
    command = [sys.executable, "-m", module, "up", "--no-screen", "--data-dir", str(data_dir)]
    command += ["--port-base", str(port_base or free_ports(UP_PORTS)), *arguments]
    with output.open("ab") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **(env or {})}
        )
    instance = Running(process, data_dir, output)
    family: list[psutil.Process] = []
    try:
        eventually(
            f"healthy; it printed {output}",
            lambda: process.poll() is not None or instance.status().get("healthy"),
            within_s=120,
        )
        assert process.poll() is None, instance.tail()
        family = psutil.Process(process.pid).children(recursive=True)
        yield instance
    finally:
        if process.poll() is None:
            family += psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
        for child in family:
            if child.is_running():
                child.kill()
