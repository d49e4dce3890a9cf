"""Runs `watchkeeper prepare` and shows its steps: a process of its own, so that `up` stays small."""

import asyncio
import time

from schemas.errors import TransientError
from watchkeeper.child_logs import last_lines
from watchkeeper.embedded.child import die_with_parent
from watchkeeper.progress import Progress
from watchkeeper.supervisor import Command

DEADLINE_S = 60.0


async def prepare(command: Command, progress: Progress) -> None:
    """Returns when tables and topics are there, and the broker knows what it must.

    Args:
        command: The subcommand with the environment of the instance. It prints `step: what it brought` for each step.
        progress: Told of each step.

    Raises:
        TransientError: It failed, with what it said last.
    """
    with command.log.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            env=command.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            process_group=0,
            preexec_fn=die_with_parent,
        )
    try:
        async with asyncio.timeout(DEADLINE_S):
            with progress.waiting("prepare"):
                await _tell(process, progress)
                code = await process.wait()
    except TimeoutError:
        raise TransientError(f"preparing took longer than {DEADLINE_S:g} s; its log is {command.log}") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code:
        lines = last_lines(command.log, 1)
        raise TransientError(lines[0].removeprefix("watchkeeper: ") if lines else f"preparing ended with code {code}")


async def _tell(process: asyncio.subprocess.Process, progress: Progress) -> None:
    assert process.stdout is not None
    started_s = time.monotonic()
    async for line in process.stdout:
        name, _, detail = line.decode("utf-8", "replace").strip().partition(": ")
        progress.done(name, detail, time.monotonic() - started_s)
        started_s = time.monotonic()
