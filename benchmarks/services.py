"""What the benchmarks start: a broker of their own, and short-lived programs that print one JSON line."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.options import ROOT
from connect.admin import create_topics, wait_until_ready
from connect.config import KafkaConfig
from schemas.topics import TOPICS
from tests.e2e.running import free_port_base
from watchkeeper.embedded.broker import EmbeddedBroker

STOP_S = 10.0


class ProgramFailed(Exception):  # noqa: N818
    """A program that is measured ended without its figures."""


@asynccontextmanager
async def broker() -> AsyncIterator[KafkaConfig]:
    """An embedded broker in a process of its own, with our topics, empty."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        service = EmbeddedBroker(free_port_base(), Path(folder) / "broker.log")
        service.start()
        try:
            config = KafkaConfig(bootstrap=service.address, idempotent=False)
            await wait_until_ready(config, STOP_S)
            await create_topics(config, TOPICS)
            yield config
        finally:
            service.stop(STOP_S)


async def told_by(module: str, *arguments: str, within_s: float) -> dict[str, Any]:
    """The JSON line that `python -m MODULE` prints at its end.

    Raises:
        ProgramFailed: It printed none, or not in time; with what it said last.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    except TimeoutError:
        raise ProgramFailed(f"{module} was not ready within {within_s:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = [line for line in out.decode(errors="replace").splitlines() if line.startswith("{")]
    if process.returncode != 0 or not lines:
        raise ProgramFailed(f"{module} ended with code {process.returncode}: {err.decode()[-2000:]}")
    told: dict[str, Any] = json.loads(lines[-1])
    return told
