"""What `watchkeeper emit` makes of a line: a record, or a reason why it is none."""

import json

import pytest

from collectors.records import MAX_LINE, BadLine, Emitter
from schemas.records import MAX_RECORD_BYTES

SAMPLES = [{"metric": "queue.depth", "value": 1}]


@pytest.fixture
def emitter() -> Emitter:
    return Emitter("metrics.samples", "here", lambda: 1_790_000_000_000)


def test_what_is_missing_is_filled_in_and_records_are_counted(emitter: Emitter) -> None:
    first, second = (emitter.line(json.dumps({"samples": SAMPLES})) for _ in range(2))
    told = [json.loads(one.value) for one in (first, second)]
    assert [one["seq"] for one in told] == [0, 1]
    assert (told[0]["source"], told[0]["at_ms"], first.key) == ("here", 1_790_000_000_000, b"here")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param("{", "not JSON", id="half"),
        pytest.param("null", "not a JSON object, but NoneType", id="null"),
        pytest.param("[" * 100_000, "not JSON", id="nested"),
        pytest.param('{"at_ms": ' + "1" * 5_000 + "}", "not JSON", id="many digits"),
        pytest.param(json.dumps({"samples": SAMPLES, "at_ms": 2**70}), "at_ms", id="large number"),
        pytest.param(
            json.dumps({"samples": SAMPLES, "pad": "x" * MAX_RECORD_BYTES}), "at most 1048576 are read", id="large"
        ),
        pytest.param(" " * MAX_LINE + "{}", "longer than", id="long"),
    ],
)
def test_a_line_that_is_no_record_is_told_and_not_counted(emitter: Emitter, line: str, why: str) -> None:
    with pytest.raises(BadLine, match=why):
        emitter.line(line)
    assert json.loads(emitter.line(json.dumps({"samples": SAMPLES})).value)["seq"] == 0


def test_the_records_of_each_source_are_numbered_without_gaps(emitter: Emitter) -> None:
    sources = ("a", "b", "a", "a", "b")
    told = [json.loads(emitter.record({"source": one, "samples": SAMPLES}).value) for one in sources]
    assert [one["seq"] for one in told] == [0, 0, 1, 2, 1]


def test_half_a_character_is_no_text(emitter: Emitter) -> None:
    with pytest.raises(BadLine, match="not JSON"):
        emitter.line(json.dumps({"source": "\ud800x", "samples": SAMPLES}))
    with pytest.raises(BadLine, match="not JSON"):
        emitter.record({"source": "\ud800x", "samples": SAMPLES})
