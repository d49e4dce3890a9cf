"""Turns what a person or a script writes into records of the input topics: fills in what is missing."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from pydantic import BaseModel, ValidationError

from schemas.errors import BadSettings
from schemas.records import MAX_RECORD_BYTES
from schemas.topics import INPUTS, Topic

_KEYS: Mapping[str, str] = {
    "metrics.samples": "source",
    "events.user": "user",
    "events.errors": "service",
    "logs": "source",
}


MAX_LINE = 4 * MAX_RECORD_BYTES
"""Characters of a line that are looked at: far more than a record, which may be written with blanks."""


class BadLine(ValueError):  # noqa: N818  (reads as what it is)
    """A line that is no record of the topic. The message says why."""


class Emitted(NamedTuple):
    """A record ready to be sent."""

    key: bytes
    value: bytes


class Emitter:
    """Completes records of one topic.

    Args:
        topic: Name of an input topic.
        source: Who emits, where a record does not say.
        clock_ms: Epoch milliseconds now.
        boot: Names the run that records belong to, where they do not say; left out: chosen at random.

    Raises:
        BadSettings: The topic is none that producers write.
    """

    def __init__(self, topic: str, source: str, clock_ms: Callable[[], int], *, boot: str = "") -> None:
        self.topic = topic
        self._model = _model(topic)
        self._source = source
        self._clock_ms = clock_ms
        self._boot = boot or secrets.token_hex(8)
        self._numbers: dict[object, int] = {}
        """Of each source how many records it has had: numbers that are missing tell of records that were lost."""

    def line(self, text: str | bytes) -> Emitted:
        """A record from a line of JSON.

        Raises:
            BadLine: It is not JSON, not an object, or not a record of this topic.
        """
        if len(text) > MAX_LINE:
            raise BadLine(f"longer than {MAX_LINE} characters")
        try:
            fields = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise BadLine(f"not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise BadLine(f"not a JSON object, but {type(fields).__name__}")
        return self.record(fields)

    def record(self, fields: Mapping[str, Any]) -> Emitted:
        """A record from its fields; those that identify and date it are filled in where they are missing.

        Raises:
            BadLine: It is not a record of this topic.
        """
        now_ms = self._clock_ms()
        whole = {
            "v": 1,
            "source": self._source,
            "boot": self._boot,
            "seq": 0,
            "sent_ms": now_ms,
            "at_ms": now_ms,
            **fields,
        }
        source = whole["source"]
        if "seq" not in fields and isinstance(source, str):
            whole["seq"] = self._numbers.get(source, 0)
        try:
            value = msgspec.json.encode(whole)
            self._model.model_validate_json(value)
        except (msgspec.MsgspecError, UnicodeError, TypeError, RecursionError) as error:
            raise BadLine(f"not JSON: {error}") from None
        except ValidationError as error:
            raise BadLine(_why(error)) from None
        if len(value) > MAX_RECORD_BYTES:
            raise BadLine(f"{len(value)} bytes; at most {MAX_RECORD_BYTES} are read")
        if "seq" not in fields:
            self._numbers[source] = whole["seq"] + 1
        return Emitted(str(whole[_KEYS[self.topic]]).encode(), value)


def _model(name: str) -> type[BaseModel]:
    topics: dict[str, Topic] = {topic.name: topic for topic in INPUTS}
    if name not in topics:
        raise BadSettings(f"{name} is no topic that producers write: choose one of {', '.join(topics)}")
    model = topics[name].records[0]
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model


def _why(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_input=False)
    shown = [f"{'.'.join(str(part) for part in fault['loc']) or 'record'}: {fault['msg']}" for fault in faults[:3]]
    more = f" and {len(faults) - 3} more faults" if len(faults) > 3 else ""
    return "; ".join(shown) + more
