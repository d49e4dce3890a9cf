"""Keeps processes alive: starts them, restarts what dies after growing delays, stops them in bounded time."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from watchkeeper.child_logs import last_lines, rotate
from watchkeeper.embedded.child import die_with_parent

Say = Callable[[str], None]


class Condition(StrEnum):
    """Where a supervised process stands."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays before restarts: doubled at each death, back to the first after a healthy life.

    Attributes:
        healthy_s: A process that lived so long is started again after the first delay.
    """

    first_s: float = 0.5
    cap_s: float = 30.0
    healthy_s: float = 10.0

    def failures(self, before: int, uptime_s: float) -> int:
        """Deaths in a row, this one included."""
        return 1 if uptime_s >= self.healthy_s else before + 1

    def delay_s(self, failures: int) -> float:
        """How long to wait after so many deaths in a row."""
        return float(min(self.cap_s, self.first_s * 2 ** min(failures - 1, 30)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run.

    Attributes:
        env: The whole environment of the process.
        log: File that its standard error is appended to.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path


class Child:
    """One process under supervision. All methods belong to one event loop.

    Args:
        command: What to run.
        say: Told of deaths and restarts, in one sentence each.
        backoff: When to start it again.
        restart: False: a death is told through `died` only.
    """

    def __init__(self, command: Command, *, say: Say, backoff: Backoff | None = None, restart: bool = True) -> None:
        self.command = command
        self.restarts = 0
        self.condition = Condition.STOPPED
        self.started_s = 0.0
        self.started_ms = 0
        self.died = asyncio.Event()
        self._say = say
        self._backoff = backoff or Backoff()
        self._restart = restart
        self._failures = 0
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Name of the process."""
        return self.command.name

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    @property
    def exit_code(self) -> int | None:
        """How it ended last; None while it runs, or before it was started."""
        return self._process.returncode if self._process is not None else None

    async def start(self, command: Command | None = None) -> None:
        """Starts it, if wanted with another command than before.

        Raises:
            OSError: The program cannot be started at all.
        """
        self.command = command or self.command
        self._stopping.clear()
        self.died.clear()
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep-{self.name}")

    def healthy(self) -> None:
        """Says that it has answered: from now on it counts as running."""
        if self.condition is Condition.STARTING:
            self.condition = Condition.RUNNING

    async def stop(self, deadline_s: float, *, how: signal.Signals = signal.SIGTERM) -> bool:
        """Stops it for good: a signal, and SIGKILL when the time is over. Returns whether it went by itself."""
        if self._keeper is None:
            return True
        self._stopping.set()
        by_itself = await self._end(deadline_s, how)
        await self._keeper
        # It may have been about to start again when it was told to stop.
        by_itself &= await self._end(deadline_s, how)
        self._keeper = None
        self.condition = Condition.STOPPED
        return by_itself

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if it runs."""
        if self.pid is not None and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _end(self, deadline_s: float, how: signal.Signals) -> bool:
        if self.pid is None or self._process is None:
            return True
        self.condition = Condition.STOPPING
        self.send(how)
        try:
            await asyncio.wait_for(self._process.wait(), deadline_s)
        except TimeoutError:
            self._say(f"{self.name} did not stop within {deadline_s:g} s and was killed")
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            return False
        return True

    async def _spawn(self) -> None:
        rotate(self.command.log)
        with self.command.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command.argv,
                env=self.command.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C goes to the whole process group of the terminal: children stop when and as we say.
                process_group=0,
                preexec_fn=die_with_parent,
            )
        self.started_s, self.started_ms = time.monotonic(), time.time_ns() // 1_000_000
        self.condition = Condition.STARTING

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            assert self._process is not None
            code = await self._process.wait()
            if self._stopping.is_set():
                return
            delay_s = self._after_death(code)
            self.died.set()
            if not self._restart or await self._stopped_within(delay_s):
                return
            await self._start_again()

    def _after_death(self, code: int) -> float:
        self._failures = self._backoff.failures(self._failures, time.monotonic() - self.started_s)
        delay_s = self._backoff.delay_s(self._failures)
        self.condition = Condition.RESTARTING if self._restart else Condition.STOPPED
        after = f", restart in {delay_s:g} s" if self._restart else ""
        lines = last_lines(self.command.log, 1)
        self._say(
            f"{self.name} died ({how_it_ended(code)}){after}" + (f": {lines[0][:200]}" if code > 0 and lines else "")
        )
        return delay_s

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _start_again(self) -> None:
        self.restarts += 1
        try:
            await self._spawn()
        except OSError as error:
            # Too many processes, or too little memory: that passes, so it counts as one more death.
            self._say(f"{self.name} cannot be started ({error.strerror})")


def how_it_ended(code: int) -> str:
    """`exit 1`, or the name of the signal."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
