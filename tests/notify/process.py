"""Notifiers in processes of their own, and a receiver that remembers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from connect.config import KafkaConfig
from connect.kafka import producer
from connect.outbox import Message, Outbox
from connect.reader import TopicReader
from schemas.alerts import Transition
from schemas.topics import ALERTS, INCIDENTS, NOTIFICATIONS
from tests.http_server import server

ROOT = Path(__file__).parents[2]


@dataclass
class Taken:
    """What a receiver was given, in order; how it answers."""

    notices: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    holds: asyncio.Event | None = None

    @property
    def transitions(self) -> list[str]:
        """Of each notice, seen once by its id: who it tells of, and how they stand."""
        once = {one["id"]: one for one in self.notices}
        return [f"{alert['entity']['source']} {alert['to_state']}" for one in once.values() for alert in one["alerts"]]


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[Taken, str]]:
    """A webhook on loopback: what it was given, and its address."""
    taken = Taken()

    async def read(request: web.Request) -> None:
        body = await request.read()
        if taken.holds is not None:
            await taken.holds.wait()
        if taken.status == 200:
            taken.notices.append(json.loads(body))

    async with server(lambda _: web.Response(status=taken.status), read) as port:
        yield taken, f"http://127.0.0.1:{port}/hook"


def routes(path: Path, receivers: dict[str, str], route: dict[str, Any], **more: dict[str, Any]) -> Path:
    """Writes a file of webhooks and routes."""
    some = [
        {"name": name, "kind": "webhook", "url": url, "allow_networks": ["127.0.0.0/8"], **more.get(name, {})}
        for name, url in receivers.items()
    ]
    path.write_text(yaml.safe_dump({"version": 1, "receivers": some, "route": route}))
    return path


@dataclass
class Process:
    """One `watchkeeper notify`."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self, within_s: float = 20.0) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def said(self) -> str:
        """All it has logged."""
        return self.log.read_text()


@contextmanager
def notifiers(kafka: KafkaConfig, folder: Path, file: Path) -> Iterator[Callable[..., Process]]:
    """What starts one. All of them end at last."""
    started: list[Process] = []

    def start(*, module: str = "watchkeeper", **env: str) -> Process:
        log = folder / f"notify-{len(started)}.log"
        settings = {
            "WATCHKEEPER_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "WATCHKEEPER_KAFKA_IDEMPOTENT": str(kafka.idempotent).lower(),
            "WATCHKEEPER_NOTIFY_FILE": str(file),
            "WATCHKEEPER_NOTIFY_METRICS_PORT": "0",
            "WATCHKEEPER_NOTIFY_SESSION_TIMEOUT_S": "6",
            "WATCHKEEPER_DATA_DIR": str(folder / "data"),
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module, "notify"],
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env={**os.environ, **settings, **env},
            )
        started.append(Process(process, log))
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            one.kill()


async def emit(kafka: KafkaConfig, *transitions: Transition) -> None:
    """As the evaluator does."""
    client = producer(kafka)
    await client.start()
    try:
        await Outbox(client).deliver(
            Message(ALERTS.name, one.alert.encode(), one.model_dump_json().encode()) for one in transitions
        )
    finally:
        await client.stop()


async def records_of(kafka: KafkaConfig, topic: str) -> list[dict[str, Any]]:
    """Everything on a topic."""
    found = []
    async with TopicReader(kafka, topic) as reader:
        while not reader.caught_up():
            for chunk in await reader.read(timeout_s=0.25):
                found += [json.loads(record.value or b"") for record in chunk.records]
    return found


async def planned(kafka: KafkaConfig) -> list[dict[str, Any]]:
    """Everything on `notifications`."""
    return await records_of(kafka, NOTIFICATIONS.name)


async def events_of(kafka: KafkaConfig) -> list[dict[str, Any]]:
    """What became of incidents, in order; again what was written down again."""
    return [one for one in await records_of(kafka, INCIDENTS.name) if one["type"] == "event"]
