"""Clients whose broker is gone end all the same."""

import asyncio
import logging
from pathlib import Path

import pytest

from connect.admin import create_topics
from connect.kafka import consumer, leave
from schemas.topics import SAMPLES
from tests.conftest import config_of, new_broker

pytestmark = pytest.mark.asyncio


async def test_a_consumer_whose_broker_is_gone_can_be_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broker = new_broker("tansu", tmp_path)
    broker.start()
    config = config_of(broker)
    await create_topics(config, [SAMPLES])
    client = consumer(config, SAMPLES.name)
    await client.start()
    await client.getmany(timeout_ms=500)
    with caplog.at_level(logging.ERROR, logger="aiokafka"):
        broker.stop(0.0)
        async with asyncio.timeout(30):
            while "Failed fetch messages" not in caplog.text:
                await client.getmany(timeout_ms=100)
    async with asyncio.timeout(15):
        await leave(client)
    assert not client._client._conns
