"""Reading a whole topic, all partitions of it, without a consumer group and without commits."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from aiokafka.structs import ConsumerRecord, TopicPartition

from connect.config import KafkaConfig
from connect.kafka import consumer, leave, start

MAX_RECORDS = 5_000


class Chunk(NamedTuple):
    """Records of one partition, in offset order, never empty."""

    partition: int
    records: "Sequence[ConsumerRecord[bytes | None, bytes | None]]"


class TopicReader:
    """Reads every partition of one topic from given offsets, or from the beginning.

    What is fetched ahead is bounded by the client's fetch size for each partition. Partitions that are added later are
    read from their beginning.

    Args:
        config: Where Kafka is.
        topic: An existing topic.
        offsets: Partition to the offset to begin at; partitions not named begin at their first record. An offset that
            the log no longer has means the first one.
    """

    def __init__(self, config: KafkaConfig, topic: str, *, offsets: Mapping[int, int] | None = None) -> None:
        self._config = config
        self._positions = dict(offsets or {})
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._client = consumer(config, topic, auto_offset_reset="earliest")

    async def start(self) -> None:
        """Connects. Call it where the event loop runs, once.

        Raises:
            BrokerUnavailable: Kafka does not answer.
        """
        await start(self._client, self._config)
        self._follow()

    async def stop(self) -> None:
        """Disconnects. Safe without start, and twice."""
        await leave(self._client)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def read(self, *, timeout_s: float = 1.0) -> list[Chunk]:
        """The next records of some partitions; empty when none came in time. Never the same record twice."""
        fetched = await self._client.getmany(timeout_ms=int(timeout_s * 1000), max_records=MAX_RECORDS)
        self._follow()
        chunks = []
        for tp, records in fetched.items():
            known = self._positions.get(tp.partition, 0)
            fresh = records if records[0].offset >= known else [one for one in records if one.offset >= known]
            if fresh:
                chunks.append(Chunk(tp.partition, fresh))
                self._positions[tp.partition] = fresh[-1].offset + 1
        await self._learn_beginnings()
        return chunks

    async def _learn_beginnings(self) -> None:
        """Of partitions that gave nothing yet: retention may have taken everything, and the log begins at its end."""
        for tp in self._assigned:
            if tp.partition not in self._positions and self._client.highwater(tp) is not None:
                self._positions[tp.partition] = await self._client.position(tp)

    def _follow(self) -> None:
        """Puts the positions back after the client has assigned partitions: it begins each of them anew."""
        assigned = self._client.assignment()
        if assigned == self._assigned:
            return
        self._assigned = assigned
        for tp in assigned:
            if tp.partition in self._positions:
                self._client.seek(tp, self._positions[tp.partition])

    @property
    def positions(self) -> dict[int, int]:
        """Partition to the offset that will be read next, where one is known."""
        return dict(self._positions)

    def lag(self) -> int | None:
        """Records that the last fetches left unread; None while a partition was not fetched yet."""
        lag = 0
        for tp in self._assigned:
            end = self._client.highwater(tp)
            if end is None:
                return None
            lag += max(0, end - self._positions.get(tp.partition, 0))
        return lag

    def caught_up(self) -> bool:
        """Whether everything was read that stood there at the last fetches."""
        return bool(self._assigned) and self.lag() == 0
