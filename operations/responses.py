"""Asks the notifier for an action on an incident, and waits for its answer."""

import asyncio
import secrets

from pydantic import ValidationError

from connect import offsets
from connect.config import KafkaConfig
from connect.kafka import connected
from connect.outbox import Message, Outbox
from connect.reader import TopicReader
from schemas.incidents import IncidentAction, IncidentEvent
from schemas.topics import INCIDENTS

ANSWER_S = 5.0


def new_id() -> str:
    """Id of an action."""
    return secrets.token_hex(16)


async def ask(kafka: KafkaConfig, action: IncidentAction, *, within_s: float = ANSWER_S) -> IncidentEvent | None:
    """The event that answers an action, which is published first; None: none came in time. It is done when one works.

    Raises:
        BrokerUnavailable: Kafka is away.
    """
    ends = await offsets.end_offsets(kafka, [INCIDENTS.name])
    begins = {partition: end for (_, partition), end in ends.items()}
    async with connected(kafka) as client:
        value = action.model_dump_json().encode()
        await Outbox(client).deliver([Message(INCIDENTS.name, action.incident.encode(), value)])
    async with TopicReader(kafka, INCIDENTS.name, offsets=begins) as reader:
        try:
            async with asyncio.timeout(within_s):
                return await _answer(reader, action.id)
        except TimeoutError:
            return None


async def _answer(reader: TopicReader, cause: str) -> IncidentEvent:
    while True:
        for chunk in await reader.read(timeout_s=0.25):
            for record in chunk.records:
                try:
                    event = IncidentEvent.model_validate_json(record.value or b"")
                except ValidationError:
                    continue
                if event.cause == cause:
                    return event
