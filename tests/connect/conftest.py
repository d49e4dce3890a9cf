"""A broker that comes and goes, and what stands in its topics."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connect.admin import create_topics, wait_until_ready
from connect.config import KafkaConfig
from connect.reader import TopicReader
from schemas.topics import LOGS, SAMPLES
from tests.conftest import free_port
from watchkeeper.embedded.broker import EmbeddedBroker

READY_S = 10.0
KAFKA_IMAGE = "confluentinc/cp-kafka:7.9.0"


class Broker:
    """An embedded broker at one address. It keeps nothing: each `up` begins with empty topics."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._folder = folder
        self._service: EmbeddedBroker | None = None
        self.config = KafkaConfig(bootstrap=f"127.0.0.1:{self._port}", idempotent=False)

    def start(self) -> None:
        """Starts it, without topics."""
        self._service = EmbeddedBroker(self._port, self._folder / "broker.log")
        self._service.start()

    async def up(self) -> None:
        """Starts it, with two of our topics."""
        await asyncio.to_thread(self.start)
        await wait_until_ready(self.config, READY_S)
        await create_topics(self.config, [SAMPLES, LOGS])

    def down(self) -> None:
        """Ends it; nothing answers at its address then."""
        if self._service is not None:
            self._service.stop(READY_S)
            self._service = None

    def freeze(self) -> None:
        """It holds its connections and says nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._service is not None
        assert self._service.pid is not None
        os.kill(self._service.pid, number)

    async def values(self, topic: str = SAMPLES.name) -> list[dict[str, Any]]:
        """Every record of a topic; those of one partition in their order."""
        found = []
        async with TopicReader(self.config, topic) as reader:
            while not reader.caught_up():
                for chunk in await reader.read(timeout_s=0.1):
                    found += [json.loads(record.value or b"null") for record in chunk.records]
        return found


@pytest.fixture
def broker_at(tmp_path: Path) -> Iterator[Broker]:
    """A broker that is not up yet."""
    broker = Broker(tmp_path)
    yield broker
    broker.down()


@pytest.fixture(params=["embedded", pytest.param("container", marks=pytest.mark.containers)])
def kafka(request: pytest.FixtureRequest, broker_at: Broker) -> Iterator[KafkaConfig]:
    """A broker without topics: the embedded one, and Apache Kafka where Docker runs."""
    if request.param == "embedded":
        broker_at.start()
        yield broker_at.config
        return
    from testcontainers.kafka import KafkaContainer

    with KafkaContainer(KAFKA_IMAGE).with_kraft() as running:
        yield KafkaConfig(bootstrap=running.get_bootstrap_server())


async def eventually(ask: Callable[[], Awaitable[bool]], *, within_s: float = 20.0) -> None:
    """Returns when the answer is yes."""
    deadline_s = time.monotonic() + within_s
    while not await ask():
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s"
        await asyncio.sleep(0.05)
