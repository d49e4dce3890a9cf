"""What each broker that we embed does and does not: the table in `docs/embedded.md` comes from what is asked here."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from connect.admin import client, create_topics, wait_until_ready
from connect.config import Compression, KafkaConfig
from connect.kafka import MAX_REQUEST_BYTES, close, consumer, producer
from connect.topic_ids import topic_epochs
from schemas.topics import SAMPLES
from tests.connect import brokers
from tests.connect.conftest import Broker, eventually

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(120)]
TOPIC = SAMPLES.name
SESSION_MS = 6_000
Record: TypeAlias = ConsumerRecord[Any, Any]
NONE: Compression | None = None

MEMBER = """
import asyncio, sys
from connect.config import KafkaConfig
from connect.kafka import consumer

async def main():
    client = consumer(KafkaConfig(bootstrap=sys.argv[1]), "metrics.samples", group_id="g", session_timeout_ms=6000)
    await client.start()
    while True:
        await client.getmany(timeout_ms=100)
        if client.assignment():
            print(len(client.assignment()), flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def sending(config: KafkaConfig, **options: object) -> AsyncIterator[AIOKafkaProducer]:
    kafka = producer(config, **options)
    await kafka.start()
    try:
        yield kafka
    finally:
        await kafka.stop()


@asynccontextmanager
async def reading(config: KafkaConfig) -> AsyncIterator[AIOKafkaConsumer]:
    """A member of group `g`."""
    kafka = consumer(config, TOPIC, group_id="g", session_timeout_ms=SESSION_MS, heartbeat_interval_ms=500)
    await kafka.start()
    try:
        yield kafka
    finally:
        await kafka.stop()


async def held(config: KafkaConfig, count: int) -> list[Record]:
    """So many records of the topic's first partition."""
    kafka = consumer(config, max_partition_fetch_bytes=MAX_REQUEST_BYTES)
    await kafka.start()
    kafka.assign([TopicPartition(TOPIC, 0)])
    found: list[Record] = []
    while len(found) < count:
        for records in (await kafka.getmany(timeout_ms=200)).values():
            found += records
    await kafka.stop()
    return found


async def test_large_records_come_back_as_they_were(kafka: KafkaConfig) -> None:
    await create_topics(kafka, [SAMPLES])
    sizes = (1_000_000, 5_000_000)
    async with sending(kafka, max_request_size=MAX_REQUEST_BYTES) as out:
        for size in sizes:
            await out.send_and_wait(TOPIC, bytes(size), partition=0)
    assert [len(record.value or b"") for record in await held(kafka, len(sizes))] == list(sizes)


@pytest.mark.parametrize("codec", [NONE, "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_is_taken_and_given_back(kafka: KafkaConfig, codec: Compression | None) -> None:
    await create_topics(kafka, [SAMPLES])
    values = [b"value %d" % number * 50 for number in range(100)]
    async with sending(kafka, compression_type=codec) as out:
        await asyncio.gather(*[await out.send(TOPIC, value, partition=0) for value in values])
    assert [record.value for record in await held(kafka, len(values))] == values


async def test_times_and_keys_and_tombstones_are_kept(kafka: KafkaConfig) -> None:
    await create_topics(kafka, [SAMPLES])
    async with sending(kafka) as out:
        await out.send_and_wait(TOPIC, b"1", key=b"k", partition=0, timestamp_ms=1_600_000_000_000)
        await out.send_and_wait(TOPIC, None, key=b"k", partition=0, timestamp_ms=1_600_000_000_001)
    found = [(one.key, one.value, one.timestamp, one.timestamp_type) for one in await held(kafka, 2)]
    assert found == [(b"k", b"1", 1_600_000_000_000, 0), (b"k", None, 1_600_000_000_001, 0)]


async def test_the_time_of_the_append(every_broker: Broker) -> None:
    config = await started(every_broker)
    new = NewTopic(TOPIC, 1, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})
    async with client(config) as admin:
        await admin.create_topics([new])
    async with sending(config) as out:
        await out.send_and_wait(TOPIC, b"1", partition=0, timestamp_ms=1_600_000_000_000)
    record = (await held(config, 1))[0]
    stamped = record.timestamp_type == 1 and record.timestamp > 1_700_000_000_000
    assert stamped == brokers.APPENDED.of(every_broker.kind)


async def test_the_latest_offset(every_broker: Broker) -> None:
    config = await started(every_broker)
    await create_topics(config, [SAMPLES])
    async with sending(config, linger_ms=100) as out:
        await asyncio.gather(*[await out.send(TOPIC, b"%d" % number, partition=0) for number in range(10)])
    kafka = consumer(config)
    await kafka.start()
    tp = TopicPartition(TOPIC, 0)
    assert ((await kafka.end_offsets([tp]))[tp] == 10) == brokers.LATEST.of(every_broker.kind)
    await kafka.stop()


async def test_idempotent_producers(every_broker: Broker) -> None:
    config = await started(every_broker)
    await create_topics(config, [SAMPLES])
    done = False
    out = producer(config, enable_idempotence=True)
    with suppress(KafkaError, TimeoutError, NotImplementedError):
        async with asyncio.timeout(10):
            await out.start()
            await out.send_and_wait(TOPIC, b"1", partition=0)
            done = True
    await close(out, within_s=1.0)
    assert done == brokers.IDEMPOTENCE.of(every_broker.kind)


async def test_what_was_acknowledged_after_a_kill(every_broker: Broker) -> None:
    await every_broker.up()
    config = every_broker.config
    async with sending(config) as out:
        await out.send_and_wait(TOPIC, b"1", partition=0)
    every_broker.kill()
    await every_broker.up()
    kafka = consumer(config)
    await kafka.start()
    tp = TopicPartition(TOPIC, 0)
    kept = (await kafka.end_offsets([tp]))[tp] == 1
    await kafka.stop()
    assert kept == brokers.DURABILITY.of(every_broker.kind)


async def test_a_group_shares_the_partitions_as_members_come_and_go(kafka: KafkaConfig) -> None:
    await create_topics(kafka, [SAMPLES])
    async with reading(kafka) as one:
        await shared([one])
        async with reading(kafka) as other:
            await shared([one, other])
        await shared([one])


async def test_the_partitions_of_a_member_that_is_killed_go_to_another(kafka: KafkaConfig) -> None:
    await create_topics(kafka, [SAMPLES])
    arguments = [sys.executable, "-c", MEMBER, kafka.bootstrap]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as member:  # noqa: ASYNC220  (returns at once)
        assert member.stdout is not None
        assert int(await asyncio.to_thread(member.stdout.readline)) == SAMPLES.partitions
        async with reading(kafka) as one:
            # It has been told that there are two now.
            while int(await asyncio.to_thread(member.stdout.readline)) == SAMPLES.partitions:
                """Until the other has given some up."""
            member.kill()
            killed_s = time.monotonic()
            await shared([one])
            assert time.monotonic() - killed_s < 3 * SESSION_MS / 1000


async def test_the_next_member_begins_at_the_commit(kafka: KafkaConfig) -> None:
    await create_topics(kafka, [SAMPLES])
    async with sending(kafka) as out:
        for number in range(10):
            await out.send_and_wait(TOPIC, b"%d" % number, partition=0)
    tp = TopicPartition(TOPIC, 0)
    async with reading(kafka) as one:
        await shared([one])
        await one.commit({tp: 4})
    async with reading(kafka) as other:
        await shared([other])
        assert await other.committed(tp) == 4
        # Waiting for the assignment has read on.
        await other.seek_to_committed()
        found: list[Record] = []
        while len(found) < 6:
            found += [one for records in (await other.getmany(timeout_ms=100)).values() for one in records]
        assert [record.offset for record in found] == list(range(4, 10))


async def test_topics_have_ids(kafka: KafkaConfig) -> None:
    await create_topics(kafka, [SAMPLES])
    assert len((await topic_epochs(kafka, [TOPIC]))[TOPIC]) == 32


async def started(broker: Broker) -> KafkaConfig:
    """The broker without topics."""
    await asyncio.to_thread(broker.start)
    await wait_until_ready(broker.config, 20.0)
    return broker.config


async def shared(members: Iterable[AIOKafkaConsumer]) -> None:
    """Returns when every partition has one owner, and every member owns some."""
    mine = list(members)

    async def done() -> bool:
        await asyncio.gather(*(one.getmany(timeout_ms=50) for one in mine))
        owned = [one.assignment() for one in mine]
        return all(owned) and sorted(tp.partition for some in owned for tp in some) == list(range(SAMPLES.partitions))

    await eventually(done, within_s=40.0)
