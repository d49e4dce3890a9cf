"""Clients whose broker is gone end all the same."""

import asyncio
import logging
from pathlib import Path

import pytest

from connect.admin import create_topics
from connect.kafka import KafkaError, close, consumer, leave, producer
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


async def test_a_producer_is_closed_in_silence_with_what_its_broker_did_not_take(tmp_path: Path) -> None:
    broker = new_broker("tansu", tmp_path)
    broker.start()
    config = config_of(broker)
    await create_topics(config, [SAMPLES])
    client = producer(config)
    await client.start()
    await client.send_and_wait(SAMPLES.name, b"taken", partition=0)
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    broker.stop(0.0)
    refused = await client.send(SAMPLES.name, b"not taken", partition=0)
    buffered = client._message_accumulator
    async with asyncio.timeout(30):
        # It was on its way, and was put back.
        while not any(batch.retry_count for batches in buffered._batches.values() for batch in batches):
            await client.client.force_metadata_update()
    await close(client, within_s=0.1)
    assert isinstance(refused.exception(), KafkaError)
    await asyncio.sleep(0)
    assert complaints == []
