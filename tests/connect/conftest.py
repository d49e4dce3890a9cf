"""A broker that comes and goes, and what stands in its topics."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import UnknownTopicOrPartitionError

from connect.admin import client, create_topics, list_topics, wait_until_ready
from connect.config import KafkaConfig
from connect.reader import TopicReader
from schemas.topics import LOGS, SAMPLES
from tests.conftest import config_of, new_broker

READY_S = 10.0
KAFKA_IMAGE = "confluentinc/cp-kafka:7.9.0"


class Broker:
    """A broker at one address. Tansu keeps nothing: each `up` begins with empty topics."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self._service = new_broker(kind, folder)
        self.config = config_of(self._service)

    def start(self) -> None:
        """Starts it. New topics are not made."""
        self._service.start()

    async def up(self) -> None:
        """Starts it, with two of our topics."""
        await asyncio.to_thread(self.start)
        await wait_until_ready(self.config, READY_S)
        await create_topics(self.config, [SAMPLES, LOGS])

    def down(self) -> None:
        """Ends it; nothing answers at its address then."""
        self._service.stop(READY_S)

    def kill(self) -> None:
        """kill -9."""
        self._signal(signal.SIGKILL)
        self._service.stop(READY_S)

    def freeze(self) -> None:
        """It holds its connections and says nothing."""
        self._signal(signal.SIGSTOP)
        # While one of its threads waits for the signal the others still answer.
        os.waitid(os.P_PID, self._pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    @property
    def _pid(self) -> int:
        assert self._service.pid is not None
        return self._service.pid

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self._pid, number)

    async def values(self, topic: str = SAMPLES.name) -> list[dict[str, Any]]:
        """Every record of a topic; those of one partition in their order."""
        found = []
        async with TopicReader(self.config, topic) as reader:
            while not reader.caught_up():
                for chunk in await reader.read(timeout_s=0.1):
                    found += [json.loads(record.value or b"null") for record in chunk.records]
        return found


@pytest.fixture
def broker_at(tmp_path: Path, broker_kind: str) -> Iterator[Broker]:
    """A broker that is not up yet."""
    broker = Broker(broker_kind, tmp_path)
    yield broker
    broker.down()


@pytest.fixture(params=["tansu", pytest.param("kafka", marks=pytest.mark.apache_kafka)])
def every_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Each that we embed, not up yet."""
    broker = Broker(request.param, tmp_path)
    yield broker
    broker.down()


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Broker]:
    """Apache Kafka of the test's own, not up yet."""
    broker = Broker("kafka", tmp_path)
    yield broker
    broker.down()


@pytest.fixture(scope="module")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    """One for all tests of a module."""
    service = new_broker("kafka", tmp_path_factory.mktemp("broker"))
    service.start()
    yield config_of(service)
    service.stop(READY_S)


@pytest.fixture(
    params=[
        "tansu",
        pytest.param("kafka", marks=pytest.mark.apache_kafka),
        pytest.param("container", marks=pytest.mark.containers),
    ]
)
def kafka(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KafkaConfig]:
    """A broker without topics: Tansu, Apache Kafka from its jars, and from a container."""
    if request.param == "tansu":
        service = new_broker("tansu", tmp_path)
        service.start()
        yield config_of(service)
        service.stop(READY_S)
        return
    if request.param == "kafka":
        config = request.getfixturevalue("apache_kafka")
        asyncio.run(delete_all(config))
        yield config
        return
    from testcontainers.kafka import KafkaContainer

    with KafkaContainer(KAFKA_IMAGE).with_kraft() as running:
        yield KafkaConfig(bootstrap=running.get_bootstrap_server())


async def delete_all(config: KafkaConfig) -> None:
    """Deletes every topic of a broker; returns when there is none."""
    async with client(config) as admin:
        while there := await list_topics(config):
            with suppress(UnknownTopicOrPartitionError):
                await admin.delete_topics(list(there))


async def eventually(ask: Callable[[], Awaitable[bool]], *, within_s: float = 20.0) -> None:
    """Returns when the answer is yes."""
    deadline_s = time.monotonic() + within_s
    while not await ask():
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s"
        await asyncio.sleep(0.05)
