"""One running API for all tests of a module."""

import asyncio
from collections.abc import Iterator

import pytest

from connect import admin
from connect.config import ClickHouseConfig, KafkaConfig
from schemas.topics import TOPICS
from tests.api.running import Api, running
from tests.sinks.conftest import _migrated, cleared

__all__ = ["_migrated", "cleared"]


@pytest.fixture(scope="module")
def topics(broker: KafkaConfig) -> KafkaConfig:
    """A broker with our topics."""
    asyncio.run(created(broker))
    return broker


async def created(broker: KafkaConfig) -> None:
    await admin.wait_until_ready(broker, 30)
    await admin.create_topics(broker, TOPICS, partitions={topic.name: topic.partitions for topic in TOPICS})


@pytest.fixture(scope="module")
def api(topics: KafkaConfig, clickhouse: ClickHouseConfig, _migrated: object) -> Iterator[Api]:
    with running(topics, clickhouse) as one:
        yield one
