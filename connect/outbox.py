"""Sends records and returns when Kafka has them all: what every "acknowledged before" in this project stands on."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from aiokafka.errors import KafkaError, KafkaTimeoutError, KafkaUnavailableError, UnknownError

from schemas.errors import PermanentError

_LOG = logging.getLogger(__name__)

RETRY_S = 1.0

_PASSING = (KafkaTimeoutError, KafkaUnavailableError, UnknownError)
"""Errors that the client does not call retriable, though the next attempt may succeed.

UnknownError is a fault inside the broker and says nothing of the record: the embedded broker answered so while a topic
was being deleted.
"""


class Message(NamedTuple):
    """One record to send. Without a partition the key chooses it."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None


class Sender(Protocol):
    """What is needed of a Kafka producer."""

    async def send(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, partition: int | None = None
    ) -> "asyncio.Future[object]":
        """Hands a record to the send buffer; the future is its acknowledgement."""


class Outbox:
    """Delivers records at least once, in the order given for each partition.

    Args:
        producer: A started producer with acks=all.
    """

    def __init__(self, producer: Sender) -> None:
        self._producer = producer

    async def deliver(self, messages: Iterable[Message]) -> None:
        """Returns when every record is acknowledged. While Kafka is away it tries again, for as long as it takes.

        Repeats are harmless to all our topics: rows are replaced, everything else carries an id.

        Raises:
            PermanentError: When Kafka refuses a record for good, such as one that is too large.
        """
        left = list(messages)
        while left:
            left = await self._try(left)
            if left:
                await asyncio.sleep(RETRY_S)

    async def _try(self, messages: Sequence[Message]) -> list[Message]:
        results = await asyncio.gather(*[await self._send(message) for message in messages], return_exceptions=True)
        failed = [(message, result) for message, result in zip(messages, results, strict=True) if _failed(result)]
        if failed:
            _LOG.warning("%d of %d records were not acknowledged: %s", len(failed), len(messages), failed[0][1])
        return [message for message, _ in failed]

    async def _send(self, message: Message) -> "asyncio.Future[object]":
        try:
            return await self._producer.send(message.topic, message.value, message.key, message.partition)
        except KafkaError as error:
            refused: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused


def _failed(result: object) -> bool:
    if not isinstance(result, BaseException):
        return False
    if isinstance(result, KafkaError):
        if result.retriable or isinstance(result, _PASSING):
            return True
        raise PermanentError(f"Kafka refuses a record: {result}") from result
    raise result
