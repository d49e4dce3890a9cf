"""The supervisor, with real children: restarts with growing delays, ordered stops, nothing left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from watchkeeper.supervisor import Backoff, Child, Command, Condition

FAST = Backoff(first_s=0.05, cap_s=0.2, healthy_s=60.0)
pytestmark = pytest.mark.asyncio


class Nursery:
    """Makes children of small scripts, and stops them at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.said: list[str] = []
        self.children: list[Child] = []

    async def start(self, script: str, *, backoff: Backoff = FAST, restart: bool = True) -> Child:
        command = Command(
            name="worker", argv=(sys.executable, "-c", script), env=dict(os.environ), log=self._folder / "worker.log"
        )
        child = Child(command, say=self.said.append, backoff=backoff, restart=restart)
        self.children.append(child)
        await child.start()
        return child


@pytest_asyncio.fixture
async def nursery(tmp_path: Path) -> AsyncIterator[Nursery]:
    nursery = Nursery(tmp_path)
    yield nursery
    for child in nursery.children:
        await child.stop(1.0, how=signal.SIGKILL)


async def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.01)


FOREVER = "import time; time.sleep(600)"


async def test_a_child_that_dies_is_started_again_and_that_is_said_with_its_last_words(nursery: Nursery) -> None:
    child = await nursery.start("import sys; print('no more memory', file=sys.stderr); sys.exit(3)")

    await until(lambda: child.restarts >= 2)

    assert nursery.said[0] == "worker died (exit 3), restart in 0.05 s: no more memory"
    assert nursery.said[1].startswith("worker died (exit 3), restart in 0.1 s")


async def test_a_killed_child_comes_back_with_another_pid(nursery: Nursery) -> None:
    child = await nursery.start(FOREVER)
    child.healthy()
    first = child.pid
    assert first is not None
    assert str(child.condition) == "running"

    os.kill(first, signal.SIGKILL)
    await until(lambda: child.restarts == 1)

    assert child.pid not in (None, first)
    assert child.condition is Condition.STARTING
    assert nursery.said == ["worker died (SIGKILL), restart in 0.05 s"]


async def test_a_child_that_must_not_be_restarted_only_tells_that_it_died(nursery: Nursery) -> None:
    child = await nursery.start("raise SystemExit(1)", restart=False)

    await asyncio.wait_for(child.died.wait(), 20)

    assert (child.pid, child.restarts, child.condition) == (None, 0, Condition.STOPPED)


async def test_stopping_is_polite_first_and_leaves_nothing(nursery: Nursery, tmp_path: Path) -> None:
    mark = tmp_path / "ended"
    child = await nursery.start(
        f"import pathlib, signal, sys, time\n"
        f"def end(*_): pathlib.Path({str(mark)!r}).touch(); sys.exit(0)\n"
        f"signal.signal(signal.SIGTERM, end)\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        f"time.sleep(600)\n"
    )
    await until((tmp_path / "ready").exists)
    pid = child.pid
    assert pid is not None

    assert await child.stop(20.0)

    assert mark.exists()
    assert not psutil.pid_exists(pid)
    assert child.condition is Condition.STOPPED
    assert nursery.said == []


async def test_a_child_that_does_not_listen_is_killed_when_its_time_is_over(nursery: Nursery, tmp_path: Path) -> None:
    child = await nursery.start(
        "import pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "time.sleep(600)\n"
    )
    await until((tmp_path / "ready").exists)
    pid = child.pid

    assert not await child.stop(0.1)

    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert nursery.said == ["worker did not stop within 0.1 s and was killed"]


async def test_stopping_while_it_waits_for_its_restart_ends_the_wait(nursery: Nursery) -> None:
    child = await nursery.start("raise SystemExit(1)", backoff=Backoff(first_s=600.0, cap_s=600.0))
    await until(lambda: child.condition is Condition.RESTARTING)

    await asyncio.wait_for(child.stop(1.0), 5)

    assert child.condition is Condition.STOPPED


async def test_a_stopped_child_can_be_started_again_with_another_command(nursery: Nursery, tmp_path: Path) -> None:
    child = await nursery.start(FOREVER)
    await child.stop(20.0)
    changed = Command(
        name="worker",
        argv=(sys.executable, "-c", f"import os; open({str(tmp_path / 'epoch')!r}, 'w').write(os.environ['EPOCH'])"),
        env={**os.environ, "EPOCH": "second"},
        log=tmp_path / "worker.log",
    )

    await child.start(changed)

    await until(lambda: (tmp_path / "epoch").exists() and (tmp_path / "epoch").read_text() == "second")


async def test_the_childs_output_is_kept_and_a_long_log_is_moved_aside(nursery: Nursery, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_bytes(b"old\n" * 1_100_000)

    child = await nursery.start("import sys; print('first'); print('second', file=sys.stderr)", restart=False)
    await asyncio.wait_for(child.died.wait(), 20)

    assert sorted(log.read_text().split()) == ["first", "second"]
    assert (tmp_path / "worker.log.1").stat().st_size == 4_400_000


@pytest.mark.parametrize(
    ("uptimes_s", "delays_s"),
    [
        ([1, 1, 1, 1, 1, 1, 1, 1], [0.5, 1, 2, 4, 8, 16, 30, 30]),
        ([1, 1, 61, 1], [0.5, 1, 0.5, 1]),
    ],
)
async def test_delays_double_up_to_a_cap_and_begin_anew_after_a_healthy_life(
    uptimes_s: list[float], delays_s: list[float]
) -> None:
    backoff, failures, delays = Backoff(), 0, []
    for uptime_s in uptimes_s:
        failures = backoff.failures(failures, uptime_s)
        delays.append(backoff.delay_s(failures))

    assert delays == delays_s


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
async def test_children_die_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from watchkeeper.supervisor import Child, Command\n"
        "async def main():\n"
        "    command = Command(name='w', argv=(sys.executable, '-c', 'import time; time.sleep(600)'),\n"
        "                      env=dict(os.environ), log=Path(sys.argv[1]) / 'w.log')\n"
        "    child = Child(command, say=print)\n"
        "    await child.start()\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(  # noqa: ASYNC220  (a line is read from it, at once)
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))

    parent.kill()
    parent.wait(10)
    parent.stdout.close()

    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
