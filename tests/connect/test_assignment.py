"""What a group is assigned of topics that its broker tells of only later, as one that has just started may."""

import asyncio
from contextlib import suppress

import pytest

from connect.admin import create_topics, wait_until_ready
from connect.kafka import consumer, leave
from schemas.topics import LOGS, SAMPLES
from tests.connect.conftest import READY_S, Broker, eventually

pytestmark = [pytest.mark.asyncio, pytest.mark.apache_kafka, pytest.mark.timeout(120)]


async def test_a_group_that_was_formed_too_early_gets_its_partitions_all_the_same(own_kafka: Broker) -> None:
    await asyncio.to_thread(own_kafka.start)
    await wait_until_ready(own_kafka.config, READY_S)
    await create_topics(own_kafka.config, [LOGS])
    member = consumer(own_kafka.config, group_id="early")
    await member.start()
    member.subscribe([SAMPLES.name, LOGS.name])

    async def assigned() -> set[str]:
        with suppress(TimeoutError):
            await member.getmany(timeout_ms=100)
        return {tp.topic for tp in member.assignment()}

    async def is_assigned(*topics: str) -> bool:
        return await assigned() == set(topics)

    await eventually(lambda: is_assigned(LOGS.name))
    await create_topics(own_kafka.config, [SAMPLES])
    await eventually(lambda: is_assigned(LOGS.name, SAMPLES.name), within_s=30)
    await leave(member)
