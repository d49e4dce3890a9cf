"""Reading partitions of the log one by one, each at its own pace, without a consumer group and without commits."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from connect.config import KafkaConfig
from connect.fetch import give_parsed_records
from connect.kafka import TopicPartition, consumer, leave, start
from connect.offsets import end_offsets
from schemas.errors import BrokerUnavailable

FETCH_MS = 1_000
SILENT_S = 30.0


class Log:
    """The partitions of some topics, up to where each of them ends when it is opened.

    A partition that is not read holds what was fetched ahead, a megabyte at most.

    Args:
        topics: That exist.
    """

    def __init__(self, config: KafkaConfig, topics: Iterable[str]) -> None:
        self._config = config
        self._topics = tuple(topics)
        self._client = consumer(config, max_poll_records=None)
        self._positions: dict[TopicPartition, int] = {}
        self.ends: Mapping[tuple[str, int], int] = {}
        """Offset behind the last record of each partition."""
        self.beginnings: Mapping[tuple[str, int], int] = {}
        """Offset of the first record that each partition still has; its end where it has none."""

    async def __aenter__(self) -> Self:
        self.ends = await end_offsets(self._config, self._topics)
        await start(self._client, self._config)
        partitions = [TopicPartition(*partition) for partition in self.ends]
        found = await self._client.beginning_offsets(partitions)
        self.beginnings = {(tp.topic, tp.partition): int(offset) for tp, offset in found.items()}
        give_parsed_records(self._client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await leave(self._client)

    async def at(self, times_ms: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """Of each partition the offset of the first record that Kafka knows under a time, or a later one.

        Times are those of the broker's append where the topic keeps them, else of the senders. Of a partition without
        such a record its beginning: its senders' clocks may be behind.
        """
        asked = {TopicPartition(*partition): at_ms for partition, at_ms in times_ms.items()}
        found = await self._client.offsets_for_times(asked) if asked else {}
        return {
            partition: one.offset if (one := found.get(TopicPartition(*partition))) else self.beginnings[partition]
            for partition in times_ms
        }

    def begin(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Reads these partitions from these offsets on, and no others."""
        self._positions = {TopicPartition(*partition): offset for partition, offset in offsets.items()}
        self._client.assign(list(self._positions))
        for tp, offset in self._positions.items():
            self._client.seek(tp, offset)

    async def read(self, topic: str, partition: int) -> Sequence[Any]:
        """The next records of a partition: with offset, timestamp, timestamp_type, key and value; none at its end.

        Raises:
            BrokerUnavailable: Nothing came for long.
        """
        tp, end = TopicPartition(topic, partition), self.ends[topic, partition]
        try:
            async with asyncio.timeout(SILENT_S):
                while self._positions[tp] < end:
                    fetched = await self._client.getmany(tp, timeout_ms=FETCH_MS)
                    records = [one for one in fetched.get(tp, ()) if one.offset < end]
                    # Offsets at the end may be those of control records, which nobody sees.
                    self._positions[tp] = records[-1].offset + 1 if records else await self._client.position(tp)
                    if records:
                        return records
        except TimeoutError:
            raise BrokerUnavailable(f"Kafka gave nothing of {topic}/{partition} for {SILENT_S:g} s") from None
        return ()
