"""The contract as documents: JSON Schemas of every record, and an AsyncAPI 3 document of every topic.

Built from the models themselves, so that they cannot say anything else than the code does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.topics import TOPICS, Topic

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who stands at both ends of a topic, in words, and what this program does with it.

    Attributes:
        written_by: Who writes it.
        read_by: Who reads it.
        actions: `receive` where the program reads the topic, `send` where it writes it.
    """

    written_by: str
    read_by: str
    actions: tuple[str, ...]


PARTIES: Mapping[str, Parties] = {
    "metrics.samples": Parties(
        written_by="collectors, producer services, API", read_by="rollup agent, sink", actions=("receive", "send")
    ),
    "events.user": Parties(
        written_by="producer services, API", read_by="rollup agent, sink", actions=("receive", "send")
    ),
    "events.errors": Parties(
        written_by="producer services, API", read_by="rollup agent, sink", actions=("receive", "send")
    ),
    "logs": Parties(
        written_by="producer services, log shippers, API", read_by="rollup agent, sink", actions=("receive", "send")
    ),
    "metrics.rollups": Parties(
        written_by="rollup agent", read_by="evaluate agent, sink, anyone", actions=("receive", "send")
    ),
    "alerts": Parties(
        written_by="evaluate agent", read_by="notifier, sink, downstream services", actions=("receive", "send")
    ),
    "alerts.state": Parties(
        written_by="evaluate agent", read_by="evaluate agent and notifier at their start", actions=("receive", "send")
    ),
    "control": Parties(
        written_by="command line, API, evaluate agent, notifier",
        read_by="evaluate agent, notifier, sink",
        actions=("receive", "send"),
    ),
    "notifications": Parties(
        written_by="notifier", read_by="notifier at its start, sink, anyone", actions=("receive", "send")
    ),
    "incidents": Parties(
        written_by="notifier, command line, API", read_by="notifier, sink, anyone", actions=("receive", "send")
    ),
    "access": Parties(written_by="API, command line", read_by="API, sink", actions=("receive", "send")),
    "changes": Parties(written_by="API", read_by="sink, anyone", actions=("receive", "send")),
    "deadletters": Parties(
        written_by="whoever refuses a record, command line", read_by="sink, command line", actions=("receive", "send")
    ),
}


def models(topic: Topic) -> tuple[type[BaseModel], ...]:
    """The models of the values that stand in a topic, unions taken apart."""
    return tuple(model for record in topic.records for model in _members(record))


def record_name(topic: Topic, model: type[BaseModel]) -> str:
    """Name and version of a record's form, such as `metrics.rollups.rows.v1`; golden files carry it too."""
    tick = _literal(model, "tick")
    if tick is not None:
        return f"tick.v{tick}"
    kind = _literal(model, "type")
    return f"{topic.name}{'' if kind is None else f'.{kind}'}.v{_literal(model, 'v')}"


def records() -> dict[str, type[BaseModel]]:
    """Every published record form by its name."""
    return {record_name(topic, model): model for topic in TOPICS for model in models(topic)}


def json_schemas() -> dict[str, Json]:
    """The JSON Schema (draft 2020-12) of every record form, by its name. What a producer's value must satisfy."""
    return {
        name: {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(by_alias=False)}
        for name, model in records().items()
    }


def asyncapi(version: str) -> Json:
    """The AsyncAPI 3.0 document.

    Args:
        version: Version of the program.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Watchkeeper",
            "version": version,
            "description": "Platform monitoring as a streaming event pipeline. Times are epoch milliseconds, UTC.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_id(topic.name): _channel(topic) for topic in TOPICS},
        "operations": {
            f"{action}_{_id(topic.name)}": {
                "action": action,
                "title": f"{action.capitalize()} {topic.name}",
                "channel": {"$ref": f"#/channels/{_id(topic.name)}"},
            }
            for topic in TOPICS
            for action in PARTIES[topic.name].actions
        },
        "components": {"messages": dict(_messages()), "schemas": _schemas()},
    }


def _channel(topic: Topic) -> Json:
    parties = PARTIES[topic.name]
    cleanup = {"cleanup.policy": ["compact"]} if topic.compacted else {"cleanup.policy": ["delete"]}
    retention = {} if topic.retention_ms is None else {"retention.ms": topic.retention_ms}
    names = [record_name(topic, model) for model in models(topic)]
    return {
        "address": topic.name,
        "title": topic.title,
        "description": f"Key: {topic.key}. Written by: {parties.written_by}. Read by: {parties.read_by}.",
        "messages": {_id(name): {"$ref": f"#/components/messages/{_id(name)}"} for name in names},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": cleanup | retention,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _messages() -> Iterator[tuple[str, Json]]:
    keys: dict[str, str] = {}
    for topic in TOPICS:
        for model in models(topic):
            name = record_name(topic, model)
            keys[name] = "none" if name.startswith("tick.") else topic.key
    for name, model in records().items():
        key: Json = {"type": "null"} if keys[name] == "none" else {"type": "string", "description": keys[name]}
        yield (
            _id(name),
            {
                "name": name,
                "title": _first_line(model),
                "contentType": "application/json",
                "payload": {"$ref": _REF.format(model=model.__name__)},
                "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
            },
        )


def _schemas() -> Json:
    _, built = models_json_schema(
        [(model, "validation") for model in records().values()], by_alias=False, ref_template=_REF
    )
    return {name: _without_discriminators(schema) for name, schema in sorted(built["$defs"].items())}


def _without_discriminators(node: Any) -> Any:
    """JSON Schema without OpenAPI's `discriminator` object: AsyncAPI gives that word another form."""
    if isinstance(node, dict):
        return {
            name: _without_discriminators(value)
            for name, value in node.items()
            if not (name == "discriminator" and isinstance(value, dict) and "mapping" in value)
        }
    if isinstance(node, list):
        return [_without_discriminators(item) for item in node]
    return node


def _id(name: str) -> str:
    """A name as tools accept it for a channel, a message or an operation: many refuse dots."""
    return name.replace(".", "_")


def _members(record: object) -> Iterator[type[BaseModel]]:
    if isinstance(record, type) and issubclass(record, BaseModel):
        yield record
        return
    for member in get_args(record):
        yield from _members(member)


def _literal(model: type[BaseModel], field: str) -> object | None:
    """The one value of a field that has only one, such as a version; None where there is no such field."""
    info = model.model_fields.get(field)
    if info is None or get_origin(info.annotation) is not Literal:
        return None
    value: object = get_args(info.annotation)[0]
    return value


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or model.__name__).strip().splitlines()[0]
