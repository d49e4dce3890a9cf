"""What the benchmarks start: a broker of their own, and short-lived programs that print one JSON line."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.options import ROOT
from connect.admin import create_topics, wait_until_ready
from connect.config import KafkaConfig
from schemas.topics import TOPICS, Topic
from tests.ports import free_ports
from watchkeeper.embedded.apache_kafka.jars import class_path
from watchkeeper.embedded.apache_kafka.service import ApacheKafka, Ports
from watchkeeper.embedded.broker import EmbeddedBroker

STOP_S = 10.0
KEPT_MS = -1
"""For ever. The records are of a day long past, and Apache Kafka removes by the time that they tell."""


class ProgramFailed(Exception):  # noqa: N818
    """A program that is measured ended without its figures."""


@asynccontextmanager
async def broker() -> AsyncIterator[KafkaConfig]:
    """An embedded broker in a process of its own, with our topics, empty."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        service = EmbeddedBroker(free_ports(6), Path(folder) / "broker.log")
        service.start()
        try:
            config = KafkaConfig(bootstrap=service.address, idempotent=False)
            await wait_until_ready(config, STOP_S)
            await create_topics(config, TOPICS)
            yield config
        finally:
            service.stop(STOP_S)


@asynccontextmanager
async def apache_kafka() -> AsyncIterator[KafkaConfig]:
    """One node of Apache Kafka, without topics.

    Raises:
        BadSettings: Java or Maven is missing.
        TransientError: Maven could not get its jars.
    """
    class_path()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        port = free_ports(6)
        service = ApacheKafka(Ports(port, port + 1), Path(folder) / "kafka", Path(folder) / "broker.log")
        service.start()
        try:
            config = KafkaConfig(bootstrap=service.address)
            await wait_until_ready(config, STOP_S)
            yield config
        finally:
            service.stop(STOP_S)


async def make_topics(
    config: KafkaConfig, more: Iterable[Topic] = (), *, partitions: Mapping[str, int] | None = None
) -> None:
    """Makes our topics, and more, where they keep what is older than their retention."""
    topics = [topic if topic.compacted else replace(topic, retention_ms=KEPT_MS) for topic in (*TOPICS, *more)]
    await create_topics(config, topics, partitions=partitions)


async def told_by(module: str, *arguments: str, within_s: float, python: str | Path = sys.executable) -> dict[str, Any]:
    """The JSON line that `python -m MODULE` prints at its end.

    Raises:
        ProgramFailed: It printed none, or not in time; with what it said last.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        return await _told_by([str(python), "-m", module, *arguments], folder, within_s)


async def _told_by(command: list[str], folder: str, within_s: float) -> dict[str, Any]:
    module = command[2]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        # What it leaves behind goes with the folder: it ends without cleaning up.
        env=os.environ | {"TMPDIR": folder},
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
