"""The processes of one instance: the order in which they start and stop, and what happens when the broker is lost."""

import asyncio
import secrets
import signal
import time
from collections.abc import Iterable, Iterator

from rich.console import Console

from connect.asking import status_of
from schemas.errors import TransientError
from watchkeeper.child_logs import last_lines
from watchkeeper.embedded.child import require_free
from watchkeeper.embedded.gate import Gate
from watchkeeper.instance import CLICKHOUSE, KAFKA, ProcessEntry
from watchkeeper.journal import Journal
from watchkeeper.layout import BROKER, Layout
from watchkeeper.preparing import prepare
from watchkeeper.progress import Progress
from watchkeeper.supervisor import Child, Condition
from watchkeeper.watch import memory_of

LOOK_S = 0.05
SERVICE_READY_S = 30.0
ROLE_READY_S = 60.0
DEATHS_AT_START = 3
"""A process that dies so often before it ever answered will not start by being tried again."""

MB = 1_000_000
HOLD_S = 1.0
"""How long the broker may take for records that it has already."""

DRAIN_EXTRA_S = 4.0
"""For what a process does around its reading to the end."""

REPLACED_S = 2.0
STOP_S = 10.0
STOP_ORDER = (
    *(("serve", 1.5), ("collect", 2.0), ("process", 4.5), ("notify", 2.0), ("sink", 4.0)),
    *((CLICKHOUSE, 3.0), (BROKER, 3.0)),
)
"""Who stops after whom, and the most each may take; what is left of `STOP_S` may be less."""


READS = ("process", "notify", "sink")
"""Who reads a broker that forgets to its end before it stops."""


class Pipeline:
    """Everything that one `watchkeeper up` runs.

    Args:
        layout: What to run, and where.
        journal: Told of everything that happens by itself.
    """

    def __init__(self, layout: Layout, journal: Journal) -> None:
        self.layout = layout
        self.epoch = ""
        self._journal = journal
        self.children: dict[str, Child] = {}
        self.gate: Gate | None = layout.gate() if layout.forgetful else None

    async def start(self, progress: Progress) -> None:
        """Starts everything, and returns when all of it answers.

        Raises:
            BadSettings: Something stands in the way that the user can remove.
            TransientError: Something did not start, or not in time.
        """
        with progress.step("ports") as step:
            for what, port in self.layout.ports.items():
                require_free(port, what)
            step.detail = ", ".join(str(port) for port in sorted(self.layout.ports.values()))
        if self.gate is not None:
            await self.gate.open()
        await self._start_services(progress)
        await self._start_roles(progress, *(("--first-key",) if KAFKA in self.layout.embedded else ()))

    async def _start_services(self, progress: Progress) -> None:
        if KAFKA in self.layout.embedded:
            if not self.layout.forgetful:
                await self._resolve_jars(progress)
            with progress.step(BROKER) as step:
                await self._start_broker()
                step.detail = f"Kafka at {self.layout.kafka}"
        else:
            self.epoch = self.layout.settings.epoch
        if CLICKHOUSE in self.layout.embedded:
            with progress.step(CLICKHOUSE) as step:
                self._add(Child(self.layout.clickhouse_server(), say=self._journal.say))
                await self._started(CLICKHOUSE, SERVICE_READY_S)
                step.detail = f"HTTP at {self.layout.clickhouse}"

    async def _resolve_jars(self, progress: Progress) -> None:
        """What Apache Kafka needs of Java and Maven; takes a while the first time."""
        from watchkeeper.embedded.apache_kafka import jars

        with progress.step("jars") as step:
            await asyncio.to_thread(jars.java)
            step.detail = "there" if await asyncio.to_thread(jars.installed) else "downloaded by Maven"
            await asyncio.to_thread(jars.class_path)

    async def _start_broker(self) -> None:
        forgetful = self.layout.forgetful
        self.epoch = secrets.token_hex(8) if forgetful else self.layout.settings.epoch
        if BROKER not in self.children:
            self._add(Child(self.layout.broker(), say=self._journal.say, restart=not forgetful))
        await self._started(BROKER, SERVICE_READY_S)

    async def _start_roles(self, progress: Progress, *options: str) -> None:
        await prepare(self.layout.role("prepare", self.epoch, *options), progress)
        if self.gate is not None:
            self.gate.release()
        for name in self.layout.roles:
            command = self.layout.role(name, self.epoch)
            if name not in self.children:
                self._add(Child(command, say=self._journal.say))
            if self.children[name].condition is Condition.STOPPED:
                await self.children[name].start(command)
        for name in self.layout.roles:
            with progress.step(name) as step:
                await self._until_answers(self.children[name], ROLE_READY_S)
                step.detail = f"pid {self.children[name].pid}"

    def _add(self, child: Child) -> None:
        self.children[child.name] = child

    async def _started(self, name: str, within_s: float) -> None:
        child = self.children[name]
        await child.start()
        await self._until_answers(child, within_s)

    async def _until_answers(self, child: Child, within_s: float) -> None:
        deadline_s = time.monotonic() + within_s
        while not (child.pid and await self.layout.answers(child.name)):
            gone = child.condition is Condition.STOPPED or child.restarts >= DEATHS_AT_START
            if gone or time.monotonic() > deadline_s:
                raise TransientError(_not_started(child, None if gone else within_s))
            await asyncio.sleep(LOOK_S)
        child.healthy()

    async def drain(self) -> bool:
        """Has all that read the broker read to the end and stop; whether everything has reached ClickHouse.

        Where it has not they run again, and go on where they were.

        Raises:
            TransientError: They did not start again in time.
        """
        settings = self.layout.settings
        # Each before those that read what it writes.
        deadlines_s = {name: getattr(settings, name).deadline_s for name in READS}
        for name, deadline_s in deadlines_s.items():
            if not await self._drained(name, deadline_s + DRAIN_EXTRA_S):
                await self._start_again(deadlines_s)
                return False
        return True

    async def _drained(self, name: str, within_s: float) -> bool:
        """Stops a process that reads to the end first; whether it says that it did."""
        child = self.children[name]
        ran = child.pid is not None
        return await child.stop(within_s) and ran and child.exit_code == 0

    async def _start_again(self, names: Iterable[str]) -> None:
        for name in names:
            if self.children[name].condition is Condition.STOPPED:
                await self.children[name].start()
        for name in names:
            await self._until_answers(self.children[name], ROLE_READY_S)

    async def replace_broker(self) -> None:
        """Puts a new broker in the place of the present one, whatever that holds, and starts its readers anew.

        Raises:
            BadSettings: See `start`.
            TransientError: See `start`. Calling it again tries again.
        """
        if self.gate is not None:
            self.gate.shut()
        for name in ("serve", *READS):
            await self.children[name].stop(REPLACED_S)
        await self.children[BROKER].stop(1.0)
        await self._start_broker()
        await self._start_roles(Progress(Console(quiet=True)))

    async def lag_records(self) -> int | None:
        """What the processor and the sink have yet to read; None: one does not answer, or waits for ClickHouse."""
        lag = 0
        for name in READS:
            figures = await status_of(self.layout.metrics(name))
            if figures is None or figures.get("paused") or "lag_records" not in figures:
                return None
            lag += int(figures["lag_records"])
        return lag

    @property
    def broker_is_gone(self) -> bool:
        """Whether the embedded broker died by itself."""
        return BROKER in self.children and self.children[BROKER].died.is_set()

    def broker_is_due(self) -> str | None:
        """Why the embedded broker should be replaced, if it should: it never frees memory."""
        child, limits = self.children.get(BROKER), self.layout.settings.embedded
        if child is None or (bytes_ := memory_of(child.pid)) is None:
            return None
        if bytes_ > limits.broker_memory_mb * MB:
            return f"holds {bytes_ / MB:.0f} MB"
        age_h = (time.monotonic() - child.started_s) / 3600
        return f"is {age_h:.0f} h old" if age_h > limits.broker_age_h else None

    def broker_is_overdue(self) -> bool:
        """Whether it has grown to twice what it may: then nothing more goes in, whatever stands in the way."""
        child = self.children.get(BROKER)
        bytes_ = memory_of(child.pid) if child else None
        return bytes_ is not None and bytes_ > 2 * self.layout.settings.embedded.broker_memory_mb * MB

    async def notice_health(self) -> None:
        """Lets processes that were started again count as running once they answer."""
        for child in self.children.values():
            if child.condition is Condition.STARTING and await self.layout.answers(child.name):
                child.healthy()

    async def stop(self, progress: Progress) -> None:
        """Stops everything in order, within `STOP_S`. Safe at any time, and twice."""
        deadline_s = time.monotonic() + STOP_S
        for name, most_s in STOP_ORDER:
            child = self.children.get(name)
            if child is None or child.condition is Condition.STOPPED:
                continue
            if name == "process" and self.gate is not None:
                await self.gate.hold(HOLD_S)
            reads = self.layout.forgetful and name in READS and child.condition is Condition.RUNNING
            with progress.step(name) as step:
                left_s = max(0.2, deadline_s - time.monotonic() - 0.3)
                step.detail = "stopped" if await child.stop(min(most_s, left_s)) else "killed"
            if reads and child.exit_code != 0:
                self._journal.say(f"{name} did not read to the end: what it had not read is lost with the broker")
        if self.gate is not None:
            await self.gate.close()

    async def kill(self) -> None:
        """Ends everything at once."""
        if self.gate is not None:
            await self.gate.close()
        await asyncio.gather(*(child.stop(1.0, how=signal.SIGKILL) for child in self.children.values()))

    def entries(self) -> dict[str, ProcessEntry]:
        """Every process as its supervisor knows it, those first that others need."""
        return {
            child.name: ProcessEntry(
                pid=child.pid,
                state=child.condition,
                restarts=child.restarts,
                started_ms=child.started_ms if child.pid else 0,
                metrics=self.layout.metrics(child.name),
            )
            for child in self._in_order()
        }

    def _in_order(self) -> Iterator[Child]:
        for name in (BROKER, CLICKHOUSE, "collect", "process", "notify", "sink", "serve"):
            if name in self.children:
                yield self.children[name]


def _not_started(child: Child, within_s: float | None) -> str:
    when = "ended again and again" if within_s is None else f"did not answer within {within_s:g} s"
    lines = last_lines(child.command.log)
    said = f"; it said last: {lines[-1][:300]}" if lines else ""
    return f"{child.name} {when}{said}. Its log is {child.command.log}"
