"""Many records at once to Kafka, within a deadline: what an answer of 202 stands on."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from connect.kafka import partition_of
from schemas.errors import BrokerUnavailable

Pair = tuple[bytes, bytes]
"""Key and value."""


class Bulk:
    """Delivers records in batches of its own: one call for each record would take most of the time.

    Args:
        producer: A started producer with acks=all.
        address: Of Kafka, for messages.
    """

    def __init__(self, producer: AIOKafkaProducer, address: str) -> None:
        self._producer = producer
        self._address = address

    async def deliver(self, topic: str, records: Iterable[Pair], *, within_s: float) -> None:
        """Returns when Kafka has acknowledged every record. Those of one key keep their order.

        Raises:
            BrokerUnavailable: It has not in time, or refuses. Some records may stand there all the same: whoever tries
                again sends the same identities.
        """
        try:
            async with asyncio.timeout(within_s):
                partitions = len(await self._producer.partitions_for(topic))
                by_partition: defaultdict[int, list[Pair]] = defaultdict(list)
                for pair in records:
                    by_partition[partition_of(pair[0], partitions)].append(pair)
                sent = [await self._send(topic, number, some) for number, some in by_partition.items()]
                await asyncio.gather(*(future for futures in sent for future in futures))
        except (TimeoutError, KafkaError) as error:
            why = str(error) or f"no acknowledgement within {within_s:g} s"
            raise BrokerUnavailable(f"Kafka at {self._address} did not take the records: {why}") from error

    async def _send(self, topic: str, partition: int, records: Sequence[Pair]) -> "list[asyncio.Future[object]]":
        futures, batch = [], self._producer.create_batch()
        for key, value in records:
            if batch.append(key=key, value=value, timestamp=None) is None:
                futures.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        futures.append(await self._producer.send_batch(batch, topic, partition=partition))
        return futures
