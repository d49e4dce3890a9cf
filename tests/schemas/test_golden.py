"""The bytes of every published record form. A golden line is never changed or removed: every reader accepts it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from schemas.asyncapi import json_schemas, records

GOLDEN = Path(__file__).parent.parent / "golden"
RECORDS = records()
SCHEMAS = json_schemas()


def golden(name: str) -> list[bytes]:
    return (GOLDEN / f"{name}.jsonl").read_bytes().splitlines()


LINES = [
    pytest.param(name, line, id=f"{name}-{number}")
    for name in RECORDS
    for number, line in enumerate(golden(name), start=1)
]


def test_every_record_form_has_golden_bytes_and_no_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} == set(RECORDS)


@pytest.mark.parametrize(("name", "line"), LINES)
def test_golden_bytes_parse_and_encode_to_the_same_meaning(name: str, line: bytes) -> None:
    parsed = RECORDS[name].model_validate_json(line)

    assert json.loads(parsed.model_dump_json(exclude_unset=True)) == json.loads(line)
    assert RECORDS[name].model_validate_json(parsed.model_dump_json()) == parsed


@pytest.mark.parametrize(("name", "line"), LINES)
def test_golden_bytes_satisfy_the_published_json_schema(name: str, line: bytes) -> None:
    Draft202012Validator(SCHEMAS[name]).validate(json.loads(line))


@pytest.mark.parametrize(("name", "line"), LINES)
def test_a_reader_accepts_fields_that_a_later_version_may_add(name: str, line: bytes) -> None:
    later = json.loads(line) | {"added_later": {"deep": [1]}}

    assert RECORDS[name].model_validate_json(json.dumps(later)) == RECORDS[name].model_validate_json(line)


@pytest.mark.parametrize(("name", "line"), LINES)
def test_an_unknown_version_is_refused_by_model_and_schema_alike(name: str, line: bytes) -> None:
    record = json.loads(line)
    record["tick" if name.startswith("tick.") else "v"] = 2

    with pytest.raises(ValueError, match="Input should be 1"):
        RECORDS[name].model_validate_json(json.dumps(record))
    assert list(Draft202012Validator(SCHEMAS[name]).iter_errors(record))


@pytest.mark.parametrize("name", RECORDS)
def test_every_field_of_every_form_occurs_in_the_golden_bytes(name: str) -> None:
    present = set[str]()
    for line in golden(name):
        present |= set(_present(RECORDS[name].model_validate_json(line)))

    assert set(_declared(RECORDS[name])) - present == set()


def _present(model: BaseModel) -> Iterator[str]:
    for field in model.model_fields_set:
        yield f"{type(model).__name__}.{field}"
        value = getattr(model, field)
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, BaseModel):
                yield from _present(item)


def _declared(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{model.__name__}.{name}"
        for nested in _models(field.annotation):
            yield from _declared(nested)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in get_args(annotation):
        yield from _models(argument)
