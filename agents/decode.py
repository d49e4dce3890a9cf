"""From the bytes of an input topic to what the fold takes: one function per topic."""

from collections.abc import Callable, Sequence

from pydantic import TypeAdapter, ValidationError

from engine.derive import derive
from schemas.errors import BadRecord, Reason
from schemas.events import ErrorEvent, LogRecord, UserEvent
from schemas.reference import checked_bytes, explain, implausible, parsed
from schemas.topics import ERRORS, LOGS, SAMPLES, USER_EVENTS
from schemas.wire import TICK_PREFIX, Input, SampleDecoder, decode_tick

Decode = Callable[[Sequence[bytes | None]], Sequence[Input]]

_EVENTS: dict[str, TypeAdapter[UserEvent | ErrorEvent | LogRecord]] = {
    USER_EVENTS.name: TypeAdapter(UserEvent),
    ERRORS.name: TypeAdapter(ErrorEvent),
    LOGS.name: TypeAdapter(LogRecord),
}


def decoder_of(topic: str) -> Decode:
    """The function that decodes a batch of this input topic: one entry for each value, never an exception."""
    if topic == SAMPLES.name:
        return SampleDecoder().decode_batch
    adapter = _EVENTS[topic]
    return lambda values: [_event(adapter, value) for value in values]


def _event(adapter: TypeAdapter[UserEvent | ErrorEvent | LogRecord], value: bytes | None) -> Input:
    try:
        if value is not None and value.startswith(TICK_PREFIX):
            return decode_tick(value)
        event = adapter.validate_python(parsed(checked_bytes(value)))
    except BadRecord as bad:
        return bad
    except ValidationError as error:
        return BadRecord(Reason.BAD_SHAPE, explain(error))
    return implausible(event.at_ms, event.sent_ms) or derive(event)
