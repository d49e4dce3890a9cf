"""The hot path's codec of `metrics.rollups` says of every record what the reference says."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from schemas import reference
from schemas.errors import BadRecord
from schemas.rollup_wire import Mark, Rows, decode_rollups
from schemas.wire import encode
from tests.schemas.hostile import broken, damaged, golden

ROLLUPS = golden("metrics.rollups.columns.v1", "metrics.rollups.rows.v1", "metrics.rollups.watermark.v1")

Told = tuple[Any, ...]


@pytest.mark.parametrize("line", ROLLUPS)
def test_rollups_of_golden_lines_are_what_the_reference_says(line: bytes) -> None:
    assert rollups(line) == rollups_of_reference(line)
    assert rollups(line)[0] == "record"


@given(broken(ROLLUPS) | damaged(ROLLUPS))
@settings(max_examples=600)
def test_broken_rollups_are_what_the_reference_says(value: bytes) -> None:
    assert rollups(value) == rollups_of_reference(value)


@pytest.mark.parametrize("value", [None, b"", b"x" * 2_000_000, b"[" * 100_000])
def test_rollups_that_are_none_are_refused_for_the_same_reason(value: bytes | None) -> None:
    assert rollups(value)[0] == "refused"
    assert rollups(value) == rollups_of_reference(value)


@pytest.mark.parametrize("line", ROLLUPS)
def test_rollups_that_are_written_again_stay_the_same(line: bytes) -> None:
    assert rollups(encode(decode_rollups(line))) == rollups(line)


def rollups(value: bytes | None) -> Told:
    """What the hot path makes of a record of rollups."""
    try:
        record: Rows | Mark = decode_rollups(value)
    except BadRecord as bad:
        return "refused", bad.reason
    return "record", repr(sorted(msgspec.to_builtins(record).items()))


def rollups_of_reference(value: bytes | None) -> Told:
    """What the reference makes of it, in the same form."""
    try:
        record = reference.decode_rollups(value).model_dump(mode="json")
    except BadRecord as bad:
        return "refused", bad.reason
    return "record", repr(sorted(msgspec.to_builtins(msgspec.convert(record, Rows | Mark, str_keys=True)).items()))
