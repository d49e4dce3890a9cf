"""The program with points at which it ends itself: `python -m tests.chaos.crashing` takes what `watchkeeper` takes.

A process that comes to a point whose file lies in the folder `CHAOS_POINTS` takes the file away, and is gone as by
kill -9. So a test says when, and only one process does it, once. Nothing of this is in the program itself: before it
runs, the functions at these points are replaced by such that call them, in `up` the one that says what children run.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Any

from agents.own_figures import OwnFigures
from agents.rollup import RollupAgent
from agents.ticks import Ticker
from agents.watchdog import Watchdog
from connect.clickhouse import Store
from connect.outbox import Message, Outbox
from engine.fold import PartitionFold
from engine.segments import Ledger
from schemas.topics import ROLLUPS
from sinks.clickhouse import writer
from sinks.clickhouse.flow import Flow
from watchkeeper.cli import main
from watchkeeper.layout import Layout
from watchkeeper.supervisor import Command

ROOT = Path(__file__).parents[2]
FOLDER = "CHAOS_POINTS"
MUTE = "CHAOS_MUTE"
"""`on`: the process adds nothing of its own to the log, as where a log of the past is processed again."""

KILLED = 137
WATCHDOG_S = 15.0
WARM = 3
"""The first segments of a fold are only read for ids."""


class Point(StrEnum):
    """Where a process can be told to end."""

    BEFORE_INSERT = "before an insert"
    AFTER_INSERT = "after an insert, before its commit"
    BETWEEN_PARTITIONS = "between two table partitions"
    BEFORE_SINK_COMMIT = "after the tiers, before the sink's commit"
    SINK_REVOKE = "during a revoke, in the sink"
    SEGMENT_END = "at a segment's end"
    AFTER_ROWS = "after rows are acknowledged, before their watermark"
    BEFORE_COMMIT = "before the commit of a segment"
    PROCESS_REVOKE = "during a revoke, in the process"
    HANG = "in the fold, which hangs"


def _instead(owner: object, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Puts the decorated function in the place of another, which it is given first."""

    def put(around: Callable[..., Any]) -> Callable[..., Any]:
        real = getattr(owner, name)

        @wraps(real)
        def replacement(*arguments: Any, **named: Any) -> Any:
            return around(real, *arguments, **named)

        setattr(owner, name, replacement)
        return around

    return put


def _take(point: Point) -> bool:
    """Whether this process is the one that was told."""
    try:
        (Path(os.environ[FOLDER]) / point.name).unlink()
    except FileNotFoundError:
        return False
    return True


def _end_at(point: Point) -> None:
    if _take(point):
        os._exit(KILLED)


def in_the_sink() -> None:
    """Points of the sink. An insert of two days becomes two inserts."""
    writer.MAX_DAYS = 1

    @_instead(Store, "insert")
    def _(insert: Any, *given: Any, **named: Any) -> None:
        _end_at(Point.BEFORE_INSERT)
        insert(*given, **named)
        _end_at(Point.AFTER_INSERT)

    @_instead(writer, "_by_days")
    def _(by_days: Any, *given: Any) -> Iterator[Any]:
        for number, part in enumerate(by_days(*given)):
            if number:
                _end_at(Point.BETWEEN_PARTITIONS)
            yield part

    @_instead(Flow, "_commit")
    async def _(commit: Any, flow: Flow) -> None:
        if flow._durable:
            _end_at(Point.BEFORE_SINK_COMMIT)
        await commit(flow)

    @_instead(Flow, "on_partitions_revoked")
    async def _(revoked: Any, flow: Flow, partitions: Any) -> None:
        if partitions:
            _end_at(Point.SINK_REVOKE)
        await revoked(flow, partitions)


def in_the_process() -> None:
    """Points of the process; a watchdog that has less patience than usual; and perhaps nobody who adds to the log."""

    @_instead(Ledger, "begun")
    def _(begun: Any, ledger: Ledger, index: int, start: int) -> None:
        if index >= WARM:
            _end_at(Point.SEGMENT_END)
        begun(ledger, index, start)

    @_instead(RollupAgent, "_commit")
    async def _(commit: Any, *given: Any) -> None:
        _end_at(Point.BEFORE_COMMIT)
        await commit(*given)

    @_instead(RollupAgent, "revoked")
    async def _(revoked: Any, agent: RollupAgent) -> None:
        if agent._hosts:
            _end_at(Point.PROCESS_REVOKE)
        await revoked(agent)

    @_instead(Outbox, "deliver")
    async def _(deliver: Any, outbox: Outbox, messages: Iterable[Message]) -> None:
        sent = list(messages)
        await deliver(outbox, sent)
        if any(one.topic == ROLLUPS.name and one.key for one in sent):
            _end_at(Point.AFTER_ROWS)

    @_instead(PartitionFold, "fold_parts")
    def _(fold: Any, *given: Any) -> None:
        if _take(Point.HANG):
            threading.Event().wait()
        fold(*given)

    @_instead(Ticker, "run")
    @_instead(OwnFigures, "run")
    async def _(run: Any, speaker: Ticker | OwnFigures) -> None:
        if os.environ.get(MUTE) != "on":
            await run(speaker)

    @_instead(Watchdog, "__init__")
    def _(init: Any, *given: Any, **named: Any) -> None:
        init(*given, **{**named, "patience_s": WATCHDOG_S})


def in_the_supervisor() -> None:
    """Children of `up` run this module as well."""

    @_instead(Layout, "role")
    def _(role: Any, *given: Any) -> Command:
        command: Command = role(*given)
        argv = tuple("tests.chaos.crashing" if word == "watchkeeper" else word for word in command.argv)
        return replace(command, argv=argv, env=with_root(command.env))


def with_root(env: Mapping[str, str]) -> dict[str, str]:
    """An environment in which the tests can be imported."""
    return {**env, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), env.get("PYTHONPATH"))))}


if __name__ == "__main__":
    in_the_sink()
    in_the_process()
    in_the_supervisor()
    main()
