"""Many records at once to Kafka, within a deadline: what an answer of 202 stands on."""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.errors import BrokerUnavailable

Pair = tuple[bytes, bytes]
"""Key and value."""


class Bulk:
    """Delivers records, those of many callers in the same batches.

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
        sent: list[asyncio.Future[object]] = []
        try:
            async with asyncio.timeout(within_s):
                for key, value in records:
                    sent.append(await self._producer.send(topic, value, key))
                await asyncio.gather(*sent)
        except (TimeoutError, KafkaError) as error:
            for future in sent:
                future.add_done_callback(_forget)
            why = str(error) or f"no acknowledgement within {within_s:g} s"
            raise BrokerUnavailable(f"Kafka at {self._address} did not take the records: {why}") from error


def _forget(acknowledgement: "asyncio.Future[object]") -> None:
    if not acknowledgement.cancelled():
        acknowledgement.exception()
