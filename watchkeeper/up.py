"""`watchkeeper up`: from the first step to the last process that has gone."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from watchkeeper import watch
from watchkeeper.instance import DataFolder, Instance
from watchkeeper.journal import Journal
from watchkeeper.layout import Layout
from watchkeeper.locate import DATA_DIR_VARIABLE, default_data_dir
from watchkeeper.picture import draw
from watchkeeper.pipeline import Pipeline
from watchkeeper.progress import Progress
from watchkeeper.renewal import Renewal
from watchkeeper.screen import screen, status_line
from watchkeeper.view import View

TICK_S = 0.25
LOOK_EVERY_S = 1.0
LINE_EVERY_S = 10.0
RATE_LOOKS = 6
"""Rates are taken over so many looks: over one they would jump, since samples come once a second."""

_QUERY = "SELECT metric, source, avg, p95 FROM watchkeeper.metrics_10s ORDER BY window_start DESC LIMIT 20"
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one run behaves.

    Attributes:
        for_s: Seconds after which it ends by itself, counted from when all is ready; None: never.
        live: Whether to draw the live screen, where a terminal is.
        picture: File that the screen is drawn into at the end.
    """

    for_s: float | None = None
    live: bool = True
    picture: Path | None = None


class Up:
    """One run.

    Args:
        layout: What to run, and where.
        folder: The data folder, locked.
        options: How.
        console: Where everything is shown.
    """

    def __init__(self, layout: Layout, folder: DataFolder, options: Options, console: Console) -> None:
        self._layout = layout
        self._folder = folder
        self._options = options
        self._console = console
        self._live = options.live and console.is_terminal
        self._progress = Progress(console)
        self._journal = Journal(layout.folder / "logs" / "up.log", echo=None if self._live else self._progress.say)
        self._pipeline = Pipeline(layout, self._journal)
        self._stop = asyncio.Event()
        self._force = asyncio.Event()
        self._began_s = time.monotonic()
        self._ready = False
        self._written: Instance | None = None
        self._looks: deque[watch.Look] = deque(maxlen=RATE_LOOKS)
        self._renewing: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Runs until told to stop, or until the time is over; the exit code.

        Raises:
            WatchkeeperError: It could not start; what had started has been stopped.
        """
        for number in STOPPING:
            asyncio.get_running_loop().add_signal_handler(number, self._told_to_stop)
        ticking = asyncio.create_task(self._tick())
        try:
            if await self._unless_stopped(self._pipeline.start(self._progress)):
                await self._stay()
        finally:
            ticking.cancel()
            await self._end()
            self._journal.close()
        return 0

    def _told_to_stop(self) -> None:
        (self._force if self._stop.is_set() else self._stop).set()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Does the work; gives it up, and returns False, when told to stop meanwhile."""
        working, told = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if working.done():
            working.result()
            return True
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return False

    async def _tick(self) -> None:
        """Keeps `instance.json` true, from the first step on."""
        while True:
            if self._ready:
                await self._pipeline.notice_health()
            self._write()
            await asyncio.sleep(TICK_S)

    def _write(self) -> None:
        instance = Instance(
            pid=os.getpid(),
            ready=self._ready,
            epoch=self._pipeline.epoch,
            kafka=self._layout.kafka,
            clickhouse=self._layout.clickhouse,
            embedded=self._layout.embedded,
            forgetful=self._layout.forgetful,
            processes=self._pipeline.entries(),
        )
        if instance != self._written:
            self._folder.write(instance)
            self._written = instance

    async def _stay(self) -> None:
        """From being ready until told to stop, or until the time is over."""
        self._ready = True
        self._write()
        self._tell_ready()
        if self._layout.forgetful:
            self._renewing = asyncio.create_task(Renewal(self._pipeline, self._journal).run())
        try:
            if self._live:
                with Live(console=self._console, screen=True, auto_refresh=False) as drawn:
                    await self._watch(lambda view: drawn.update(self._drawn(view), refresh=True), LOOK_EVERY_S)
            else:
                await self._watch(lambda view: self._progress.say(status_line(view)), LINE_EVERY_S)
            if self._options.picture is not None:
                draw(self._view(), self._options.picture)
        finally:
            if self._renewing is not None:
                self._renewing.cancel()
                await asyncio.gather(self._renewing, return_exceptions=True)

    async def _watch(self, show: Callable[[View], object], every_s: float) -> None:
        end_s = time.monotonic() + (self._options.for_s if self._options.for_s is not None else float("inf"))
        while not self._stop.is_set() and time.monotonic() < end_s:
            if self._renewing is not None and self._renewing.done():
                self._renewing.result()
            self._looks.append(await watch.look(self._pipeline.entries(), self._layout.endpoint))
            show(self._view())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(every_s, end_s - time.monotonic()))):
                    await self._stop.wait()

    async def _end(self) -> None:
        """Stops everything in order; at once when told a second time."""
        if self._pipeline.children:
            self._progress.say("stopping in order; Ctrl-C again kills at once")
        stopping, told = (
            asyncio.create_task(self._pipeline.stop(self._progress)),
            asyncio.create_task(self._force.wait()),
        )
        await asyncio.wait({stopping, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not stopping.done():
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            await self._pipeline.kill()
            self._progress.say("killed")

    def _tell_ready(self) -> None:
        embedded = ", ".join(self._layout.embedded) or "nothing"
        self._progress.say(
            f"ready after {time.monotonic() - self._began_s:.1f} s: Kafka {self._layout.kafka},"
            f" ClickHouse http://{self._layout.clickhouse}, data {self._layout.folder}, embedded: {embedded}"
        )
        if not self._layout.settings.notify.file:
            self._progress.say("nobody is told of alerts: name a file of receivers with notify.file")

    def _drawn(self, view: View) -> RenderableType:
        return screen(view, unicode=self._console.encoding.lower().startswith("utf"))

    def _view(self) -> View:
        now, before = self._looks[-1], self._looks[0]
        program, called_in = called_as(sys.argv[0])
        return View(
            now_ms=now.at_ms,
            uptime_s=time.monotonic() - self._began_s,
            data_dir=str(self._layout.folder),
            kafka=self._layout.kafka,
            clickhouse=self._layout.clickhouse,
            processes=watch.processes(now, before),
            alerts=now.alerts,
            newest_rollup_ms=now.newest_rollup_ms,
            events=tuple(self._journal.events),
            commands=worth_trying(self._layout.folder, program),
            called_in=called_in,
        )


def worth_trying(folder: Path, program: str) -> tuple[str, ...]:
    """Three commands that show what the instance can do, and before them what names its folder to a shell."""
    named = () if folder == default_data_dir() else (f"export {DATA_DIR_VARIABLE}={shlex.quote(str(folder))}",)
    return (
        *named,
        f'{program} query "{_QUERY}"',
        f"{program} emit --metric app.queue.depth --value 42",
        f"{program} alerts tail",
    )


def called_as(argument: str) -> tuple[str, str]:
    """How to call the program again, and the folder that this holds in; an empty one: any.

    Args:
        argument: The first of `sys.argv`.
    """
    called = Path(argument)
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m watchkeeper", ""
    found = shutil.which(called.name)
    if found is not None and Path(found).resolve() == called.resolve():
        return called.name, ""
    return shlex.quote(argument), "" if called.is_absolute() else str(Path.cwd())
