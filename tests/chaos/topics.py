"""Faults of the topic itself: it is deleted and made again, it is read once more from its first record."""

import asyncio
import random
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from connect.admin import client
from tests.chaos.compare import stored
from tests.chaos.freshness import Freshness
from tests.chaos.load import wall_ms
from tests.chaos.log import TOPIC, Log
from tests.chaos.producer import Producer, poison
from tests.chaos.stage import Stage
from tests.e2e.running import eventually

REMEDY = "`watchkeeper topics create`"
NOTICED_S = 60.0
AGAIN_S = 120.0
SAFE_MS = 15_000
"""What is so old was folded and stored before the topic was deleted."""

FULL_STOP_S = 180.0
BAD_RECORDS = 20
_VIEWS = "SELECT name FROM system.tables WHERE database = 'watchkeeper' ORDER BY name"


def recreated(stage: Stage, numbers: random.Random, count: int) -> None:
    """The topic is deleted, which is noticed and said with the remedy; made again, its records count from anew on."""
    for _ in range(count):
        stage.wait(numbers, 15.0, 20.0)
        said = len(_said(stage))
        log, deleted_ms = stage.follow(), wall_ms()
        asyncio.run(_delete(stage))
        eventually("it is noticed", lambda: "was deleted" in _said(stage)[said:], within_s=NOTICED_S)  # noqa: B023
        eventually("the remedy is said", lambda: REMEDY in _said(stage)[said:], within_s=NOTICED_S)  # noqa: B023
        stage.instance.ask("topics", "create")
        assert stage.load is not None
        stage.load.excuse()
        again_ms = wall_ms()
        stage.notes.append(f"{_taken(stage, log, deleted_ms)} samples went with the topic")
        stage.log = None
        eventually("all is folded again", partial(_fresh_since, stage, again_ms), within_s=AGAIN_S)


def _said(stage: Stage) -> str:
    return stage.instance.output.read_text(errors="replace")


async def _delete(stage: Stage) -> None:
    async with client(stage.config) as admin:
        await admin.delete_topics([TOPIC])


def _taken(stage: Stage, log: Log, deleted_ms: int) -> int:
    """Samples that were in the log shortly before it was deleted, and never became rows: none of them is old."""
    have, taken = stored(stage.store, log.rules.epoch), 0
    for key, want in log.totals().items():
        missing = want.n - (have[key][1].n if key in have else 0)
        assert missing <= 0 or key[1] + log.rules.window_ms > deleted_ms - SAFE_MS, "an old window is not complete"
        taken += max(0, missing)
    return taken


def _fresh_since(stage: Stage, since_ms: int) -> bool:
    return Freshness(stage).oldest_ms() > since_ms


def replayed(stage: Stage, numbers: random.Random, count: int) -> None:
    """Everything is read again from its first record, into the same tables: no byte of any view changes."""
    with Producer(stage, "load-replay-poison") as one:
        one.send([poison(one, numbers) for _ in range(BAD_RECORDS)])
    stage.wait(numbers, 6.0, 8.0)
    assert stage.load is not None
    stage.load.stop()
    assert stage.load.over.wait(60), "the load does not end"
    stage.end()
    try:
        _read_again(stage, count)
    finally:
        stage.begin()


def _read_again(stage: Stage, count: int) -> None:
    # What the collector sent last was read by nobody yet.
    _read_everything(stage, group="")
    before = _contents(stage)
    for number in range(count):
        _read_everything(stage, group=f"again-{number}")
        after = _contents(stage)
        changed = [view for view in before if before[view] != after[view]]
        assert not changed, f"changed: {changed}: {[_first_change(before[view], after[view]) for view in changed]}"
    stage.notes.append(f"{len(before)} views, {sum(map(len, before.values())) / 1e6:.1f} MB, equal")


def _read_everything(stage: Stage, *, group: str) -> None:
    """Runs a process to the end of what there is, then a sink; a new group begins at the first record."""
    with ExitStack() as stack:
        workers = {role: stack.enter_context(_standalone(stage, role, group)) for role in ("process", "sink")}
        for role, worker in workers.items():
            eventually(f"{role} works", partial(stage.works, role), within_s=60)
            worker.terminate()
            assert worker.wait(FULL_STOP_S) == 0


@contextmanager
def _standalone(stage: Stage, role: str, group: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A role without the instance. On SIGTERM it first works up to the end; it adds nothing of itself to the log."""
    own = {f"WATCHKEEPER_{role.upper()}_DRAIN": "true", f"WATCHKEEPER_{role.upper()}_DEADLINE_S": str(FULL_STOP_S)}
    named = {f"WATCHKEEPER_{role.upper()}_GROUP": f"watchkeeper-{role}-{group}"} if group else {}
    worker = stage.worker(role, standalone={**own, **named})
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


def _contents(stage: Stage) -> dict[str, bytes]:
    """Every byte of every public view."""
    views = [name for (name,) in stage.store.rows(_VIEWS)]
    return {
        view: b"".join(stage.store.raw(f"SELECT * FROM watchkeeper.{view} ORDER BY ALL", "TSVWithNames"))
        for view in views
    }


def _first_change(before: bytes, after: bytes) -> tuple[bytes, bytes]:
    one, other = before.splitlines(), after.splitlines()
    new, gone = set(other) - set(one), set(one) - set(other)
    return min(gone, default=b"")[:300], min(new, default=b"")[:300]
