"""Where the partitions of topics end."""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from connect.admin import list_topics
from connect.config import KafkaConfig
from connect.kafka import consumer, leave, start

DEADLINE_S = 10.0
FETCH_MS = 200
LOOK_S = 0.05


async def end_offsets(config: KafkaConfig, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """The offset that the next record of each partition gets; 0 of an empty one.

    Taken from the high watermark of a fetch. Asking for the latest offset is not enough: the embedded broker answers
    with the end of the last batch but one.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        TimeoutError: When a topic is not there, or a partition did not answer in time.
    """
    client = consumer(config, fetch_max_wait_ms=20, max_partition_fetch_bytes=4096)
    await start(client, config)
    try:
        async with asyncio.timeout(DEADLINE_S):
            partitions = await _partitions(config, topics)
            latest = await client.end_offsets(partitions)
            client.assign(partitions)
            for tp, offset in latest.items():
                client.seek(tp, max(0, offset - 1))
            return await _highwaters(client, partitions)
    finally:
        await leave(client)


async def _partitions(config: KafkaConfig, topics: Iterable[str]) -> list[TopicPartition]:
    """All partitions of all topics. A topic that was just created may take Kafka's nodes a moment to hear of."""
    names = tuple(topics)
    while not (counts := await list_topics(config)).keys() >= set(names):  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)
    return [TopicPartition(name, number) for name in names for number in range(counts[name])]


async def _highwaters(client: AIOKafkaConsumer, partitions: list[TopicPartition]) -> dict[tuple[str, int], int]:
    ends: dict[tuple[str, int], int] = {}
    while len(ends) < len(partitions):
        await client.getmany(timeout_ms=FETCH_MS)
        for tp in partitions:
            end = client.highwater(tp)
            if end is not None:
                ends[tp.topic, tp.partition] = end
    return ends


async def committed_offsets(config: KafkaConfig, group: str, topic: str) -> dict[int, int]:
    """Where the members of a group would begin to read a topic, by partition; of those that they have committed.

    Raises as `end_offsets`.
    """
    client = consumer(config, group_id=group)
    await start(client, config)
    try:
        async with asyncio.timeout(DEADLINE_S):
            found = {tp.partition: await client.committed(tp) for tp in await _partitions(config, [topic])}
    finally:
        await leave(client)
    return {partition: int(offset) for partition, offset in found.items() if offset is not None}
