"""The AsyncAPI document: its structure, and that it says what the topics say."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from asyncapi3 import AsyncAPI3
from jsonschema import Draft202012Validator

from schemas.asyncapi import PARTIES, asyncapi, json_schemas
from schemas.topics import BY_NAME, TOPICS

DOCUMENT = json.loads(json.dumps(asyncapi("1.2.3")))


def test_the_document_parses_as_asyncapi_3() -> None:
    parsed = AsyncAPI3.model_validate(DOCUMENT)

    assert parsed.asyncapi == "3.0.0"
    assert parsed.channels is not None
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == set(BY_NAME)


def test_a_document_without_a_version_is_refused_by_the_same_parser() -> None:
    broken = DOCUMENT | {"info": {"title": "no version"}}

    with pytest.raises(ValueError, match="version"):
        AsyncAPI3.model_validate(broken)


def test_every_reference_leads_somewhere() -> None:
    references = set(_references(DOCUMENT))

    assert references
    for reference in references:
        assert _resolve(reference) is not None, reference


def test_every_topic_is_a_channel_with_its_partitions_and_its_retention() -> None:
    for topic in TOPICS:
        binding = DOCUMENT["channels"][topic.name.replace(".", "_")]["bindings"]["kafka"]
        assert binding["partitions"] == topic.partitions
        settings = binding["topicConfiguration"]
        assert settings["cleanup.policy"] == (["compact"] if topic.compacted else ["delete"])
        assert settings.get("retention.ms") == topic.retention_ms


def test_every_topic_names_its_writers_and_readers() -> None:
    assert set(PARTIES) == set(BY_NAME)
    for name, parties in PARTIES.items():
        assert parties.written_by
        assert parties.read_by
        channel = {"$ref": f"#/channels/{name.replace('.', '_')}"}
        actions = [item["action"] for item in DOCUMENT["operations"].values() if item["channel"] == channel]
        assert tuple(actions) == parties.actions


def test_a_message_of_every_channel_has_a_payload_that_is_an_object() -> None:
    for channel in DOCUMENT["channels"].values():
        for reference in channel["messages"].values():
            message = _resolve(reference["$ref"])
            assert _resolve(message["payload"]["$ref"])["type"] == "object"


@pytest.mark.parametrize("name", json_schemas())
def test_every_json_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(json_schemas()[name])


def test_the_schema_of_samples_states_the_limits_that_the_reader_enforces() -> None:
    schema = json_schemas()["metrics.samples.v1"]
    sample = schema["$defs"]["Sample"]["properties"]

    assert schema["properties"]["samples"]["maxItems"] == 10_000
    assert sample["dimensions"]["maxProperties"] == 32
    assert sample["metric"]["maxLength"] == 128


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _resolve(reference: str) -> Any:
    node: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node
