"""Records as they were parsed: the same as aiokafka's own, whatever a fetch brings."""

import inspect
from importlib.metadata import version

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from connect.config import KafkaConfig
from connect.fetch import give_parsed_records, parsed
from connect.kafka import TopicPartition, consumer, producer
from schemas.topics import LOGS, SAMPLES
from tests.connect.conftest import Broker

PLACE = TopicPartition("t", 0)


def batch(first: int, values: list[bytes], *, compression: int = 0) -> bytes:
    """Bytes of one record batch."""
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1 << 20)
    for number, value in enumerate(values):
        builder.append(number, 1_000 + number, b"k", value, [])
    built = bytearray(builder.build())
    built[:8] = first.to_bytes(8, "big")
    return bytes(built)


def fetched(data: bytes, start: int) -> PartitionRecords:
    """A fetch of one partition, from an offset on."""
    return PartitionRecords(PLACE, MemoryRecords(data), None, start, None, None, True, 0)


@pytest.mark.parametrize("compression", [0, 1, 3, 4], ids=["plain", "gzip", "lz4", "zstd"])
@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_the_records_are_those_of_aiokafka_and_so_is_the_next_offset(start: int, compression: int) -> None:
    data = batch(0, [b"a", b"b", b"c"], compression=compression) + batch(7, [b"d"], compression=compression)
    ours, theirs = fetched(data, start), fetched(data, start)
    found, wanted = parsed(ours), list(theirs)
    fields = ("offset", "timestamp", "timestamp_type", "key", "value")
    assert [[getattr(one, name) for name in fields] for one in found] == [
        [getattr(one, name) for name in fields] for one in wanted
    ]
    assert found
    assert ours.next_fetch_offset == theirs.next_fetch_offset == 8


def test_markers_of_transactions_are_no_records_and_are_passed() -> None:
    marker = bytearray(batch(0, [b"x"]))
    # Bit 5 of the attributes: a control batch. The checksum stands in the bytes 17 to 21, and covers all behind it.
    marker[22] |= 0x20
    ours = PartitionRecords(PLACE, MemoryRecords(bytes(marker) + batch(1, [b"a"])), None, 0, None, None, False, 0)
    assert [record.value for record in parsed(ours)] == [b"a"]


def test_of_a_corrupt_fetch_nothing_is_handed_out() -> None:
    data = bytearray(batch(0, [b"a"]) + batch(1, [b"b"]))
    data[-2] ^= 1
    with pytest.raises(CorruptRecordException):
        parsed(fetched(bytes(data), 0))


def test_what_is_used_of_aiokafka_is_that_of_the_studied_version() -> None:
    assert version("aiokafka") == "0.14.0"
    source = inspect.getsource(fetcher.Fetcher)
    assert "self._records[tp] = FetchResult(" in source
    assert "records = res_or_error.getall(max_records)" in source
    assert "if not res_or_error.has_more():" in source
    assert list(inspect.signature(fetcher.FetchResult.check_assignment).parameters) == ["self", "tp"]


async def values(client: AIOKafkaConsumer, count: int) -> dict[TopicPartition, list[bytes | None]]:
    """What the consumer gives until it gave so many."""
    found: dict[TopicPartition, list[bytes | None]] = {}
    while sum(map(len, found.values())) < count:
        for place, records in (await client.getmany(timeout_ms=1_000)).items():
            found.setdefault(place, []).extend(record.value for record in records)
    return found


@pytest.mark.asyncio
@pytest.mark.timeout(60)
async def test_a_consumer_reads_everything_once_seeks_and_heeds_a_pause(broker_at: Broker) -> None:
    await broker_at.up()
    kafka = producer(broker_at.config)
    await kafka.start()
    sends = [await kafka.send(SAMPLES.name, b"%d" % number, partition=number % 2) for number in range(2_000)]
    for send in sends:
        await send
    await kafka.stop()
    client = await _reading(broker_at.config)
    places = [TopicPartition(SAMPLES.name, number) for number in (0, 1)]
    try:
        found = await values(client, 2_000)
        assert found == {place: [b"%d" % number for number in range(place.partition, 2_000, 2)] for place in places}
        client.seek(places[0], 998)
        client.seek(places[1], 990)
        client.pause(places[1])
        assert await values(client, 2) == {places[0]: [b"1996", b"1998"]}
        client.resume(places[1])
        assert (await values(client, 10))[places[1]][0] == b"1981"
        assert await client.position(places[1]) == 1_000
    finally:
        await client.stop()


async def _reading(config: KafkaConfig) -> AIOKafkaConsumer:
    client = consumer(config, max_poll_records=None)
    client.assign([TopicPartition(SAMPLES.name, number) for number in (0, 1)] + [TopicPartition(LOGS.name, 0)])
    await client.start()
    give_parsed_records(client)
    give_parsed_records(client)
    return client
