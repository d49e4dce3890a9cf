"""Topics on a real broker: created once, their ends told exactly, read from any offset; and what Kafka refuses."""

import asyncio
import gc
import logging
from collections import deque

import pytest
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    UnknownError,
)

from connect import outbox as module
from connect.admin import create_topics, list_topics, wait_until_ready
from connect.config import KafkaConfig
from connect.kafka import producer
from connect.offsets import end_offsets
from connect.outbox import Message, Outbox
from connect.reader import TopicReader
from schemas.errors import BrokerUnavailable, PermanentError
from schemas.topics import ALERT_STATES, LOGS, SAMPLES, TOPICS
from tests.ports import free_ports

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]


async def write(config: KafkaConfig, counts: dict[int, int]) -> None:
    """So many records to each partition of `metrics.samples`, each with its number."""
    kafka = producer(config)
    await kafka.start()
    messages = [
        Message(SAMPLES.name, None, b"%d" % number, at) for at, count in counts.items() for number in range(count)
    ]
    await Outbox(kafka).deliver(messages)
    await kafka.stop()


async def test_every_topic_is_created_with_its_partitions_and_once(kafka: KafkaConfig) -> None:
    assert await create_topics(kafka, [LOGS]) == [LOGS.name]
    assert set(await create_topics(kafka, TOPICS)) == {topic.name for topic in TOPICS} - {LOGS.name}
    assert await list_topics(kafka) == {topic.name: topic.partitions for topic in TOPICS}
    assert await create_topics(kafka, TOPICS) == []


async def test_a_topic_that_is_there_keeps_its_partitions_and_that_is_told(
    kafka: KafkaConfig, caplog: pytest.LogCaptureFixture
) -> None:
    await create_topics(kafka, [SAMPLES])
    with caplog.at_level(logging.WARNING):
        assert await create_topics(kafka, [SAMPLES], partitions={SAMPLES.name: 64}) == []
    assert f"Topic metrics.samples has {SAMPLES.partitions} partitions, not 64; it is kept" in caplog.text
    assert (await list_topics(kafka))[SAMPLES.name] == SAMPLES.partitions


async def test_a_broker_that_is_away_is_named_with_a_question_that_helps() -> None:
    config = KafkaConfig(bootstrap=f"127.0.0.1:{free_ports()}", idempotent=False)
    with pytest.raises(BrokerUnavailable, match=rf"{config.bootstrap} did not answer within 0\.5 s.*Is it running"):
        await wait_until_ready(config, 0.5)


@pytest.mark.parametrize("counts", [{}, {0: 1}, {0: 2, 1: 1}, {0: 700, 1: 3, 2: 1_200}])
async def test_the_end_of_a_partition_is_the_offset_of_its_next_record(
    kafka: KafkaConfig, counts: dict[int, int]
) -> None:
    await create_topics(kafka, [SAMPLES, LOGS])
    await write(kafka, counts)
    ends = await end_offsets(kafka, [SAMPLES.name, LOGS.name])
    assert ends == {
        (topic.name, number): counts.get(number, 0) if topic is SAMPLES else 0
        for topic in (SAMPLES, LOGS)
        for number in range(topic.partitions)
    }


async def test_a_reader_without_a_broker_says_so_and_leaves_nothing_behind(recwarn: pytest.WarningsRecorder) -> None:
    config = KafkaConfig(bootstrap=f"127.0.0.1:{free_ports()}")
    with pytest.raises(BrokerUnavailable, match=config.bootstrap):
        async with TopicReader(config, SAMPLES.name):
            pass
    gc.collect()
    assert [str(one.message) for one in recwarn if one.category is ResourceWarning] == []


async def test_a_reader_begins_where_it_is_told_and_gives_no_record_twice(kafka: KafkaConfig) -> None:
    await create_topics(kafka, [SAMPLES])
    await write(kafka, {0: 1_000, 1: 10})
    found: dict[int, list[int]] = {0: [], 1: []}
    async with TopicReader(kafka, SAMPLES.name, offsets={0: 990}) as reader:
        while not reader.caught_up():
            for partition, records in await reader.read(timeout_s=0.1):
                found[partition] += [record.offset for record in records]
        assert (reader.positions, reader.lag()) == ({0: 1_000, 1: 10, 2: 0, 3: 0}, 0)
        await write(kafka, {1: 5})
        while len(found[1]) < 15:
            for partition, records in await reader.read(timeout_s=0.1):
                found[partition] += [record.offset for record in records]
    assert found == {0: list(range(990, 1_000)), 1: list(range(15))}


class Refusing:
    """A producer that answers with what it is given, one answer for each record."""

    def __init__(self, answers: list[KafkaError | None], *, at_once: bool = False) -> None:
        self._answers = deque(answers)
        self._at_once = at_once
        self.sent: list[bytes | None] = []

    async def send(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, partition: int | None = None
    ) -> "asyncio.Future[object]":
        answer = self._answers.popleft() if self._answers else None
        if answer is not None and self._at_once:
            raise answer
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if answer is None:
            self.sent.append(value)
            future.set_result(None)
        else:
            future.set_exception(answer)
        return future


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("passing", [NotLeaderForPartitionError(), KafkaTimeoutError(), UnknownError()])
async def test_what_kafka_refuses_for_now_is_sent_again_until_it_is_taken(
    monkeypatch: pytest.MonkeyPatch, passing: KafkaError, at_once: bool
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    kafka = Refusing([None, passing, None, passing, passing], at_once=at_once)
    await Outbox(kafka).deliver([Message("t", None, value) for value in (b"1", b"2", b"3")])
    assert kafka.sent == [b"1", b"3", b"2"]


async def test_what_kafka_refuses_for_good_is_said_at_once() -> None:
    with pytest.raises(PermanentError, match="Kafka refuses a record"):
        await Outbox(Refusing([MessageSizeTooLargeError()])).deliver([Message("t", None, b"x")])


async def test_a_record_that_is_too_large_for_the_client_is_refused_for_good(kafka: KafkaConfig) -> None:
    await create_topics(kafka, [LOGS])
    client = producer(kafka)
    await client.start()
    with pytest.raises(PermanentError):
        await Outbox(client).deliver([Message(LOGS.name, None, bytes(9 * 1024 * 1024))])
    await client.stop()


async def test_a_compacted_topic_is_created_as_such(kafka: KafkaConfig) -> None:
    assert ALERT_STATES.compacted
    assert await create_topics(kafka, [ALERT_STATES]) == [ALERT_STATES.name]
