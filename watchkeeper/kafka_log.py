"""The log of the input topics as Kafka still has it, as a replay reads it."""

from collections import deque
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from agents.decode import decoder_of
from connect.kafka import STAMPED_BY_BROKER
from connect.log import Log
from engine.replay import Begin, Piece


class KafkaLog:
    """Reads partitions of the present incarnation of their topics.

    Args:
        log: Opened, of all these topics.
        begins: Where each partition is read from.
    """

    name = "Kafka"

    def __init__(self, log: Log, begins: Mapping[tuple[str, int], Begin]) -> None:
        self._log = log
        self._begins = begins
        self._waiting: dict[tuple[str, int], deque[list[Any]]] = {partition: deque() for partition in begins}
        self._decoders = {topic: decoder_of(topic) for topic, _ in begins}
        log.begin({partition: begin.offset for partition, begin in begins.items()})

    async def read(self, topic: str, partition: int) -> Piece | None:
        """The next records of a partition; None at its end.

        Raises:
            BrokerUnavailable: Nothing came for long.
        """
        waiting = self._waiting[topic, partition]
        if not waiting:
            records = await self._log.read(topic, partition)
            waiting += [list(some) for _, some in groupby(records, key=lambda one: one.timestamp_type)]
        if not waiting:
            return None
        records = waiting.popleft()
        stamped = records[0].timestamp_type == STAMPED_BY_BROKER
        return Piece(
            self._begins[topic, partition].epoch,
            [record.offset for record in records],
            self._decoders[topic]([record.value for record in records]),
            [record.timestamp for record in records] if stamped else None,
        )


def reaches(log: Log, begins: Mapping[tuple[str, int], Begin]) -> bool:
    """Whether Kafka still has the records that a replay begins with."""
    return all(log.beginnings.get(partition, begin.offset + 1) <= begin.offset for partition, begin in begins.items())
