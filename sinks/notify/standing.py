"""Alerts that are raised, as the evaluator knows them: a topic of transitions that begins anew does not tell."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from connect.config import KafkaConfig
from connect.reader import TopicReader
from engine.standing import stands
from schemas.alerts import AlertState, StateRecord
from schemas.topics import ALERT_STATES

READ_S = 0.25

_STATE: TypeAdapter[Any] = TypeAdapter(StateRecord)


async def read_standing(kafka: KafkaConfig) -> list[AlertState]:
    """The newest state of each of them."""
    newest: dict[str, AlertState] = {}
    async with TopicReader(kafka, ALERT_STATES.name) as reader:
        while not reader.caught_up():
            for chunk in await reader.read(timeout_s=READ_S):
                for record in chunk.records:
                    if isinstance(state := _state(record.value), AlertState):
                        newest[state.alert] = state
    return [state for state in newest.values() if stands(state)]


def _state(value: bytes | None) -> object:
    try:
        return _STATE.validate_json(value or b"")
    except ValidationError:
        return None
