"""Columns of rollup rows: what is well-formed, and that many records at once are what each is alone."""

import json
from base64 import b64encode
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import reference
from schemas.columns import Block, Columns, block_of
from schemas.errors import BadRecord, Reason
from schemas.rollup_columns import MAX_ROWS, RollupColumns
from schemas.rollup_wire import Rows, decode_message, decode_rollups, newest_ms, rows_of, rows_of_all
from tests.schemas.hostile import golden
from tests.schemas.test_rollup_wire import rollups, rollups_of_reference

LINES = golden("metrics.rollups.columns.v1")
COLUMNS = [name for name, field in RollupColumns.model_fields.items() if field.json_schema_extra]
WHOLE = json.loads(LINES[0])
"""Three rows, with every column."""

NOT_FINITE = (float("nan"), float("inf"), -float("inf"))
EXTREMES = (0, 1, -1, 127, 128, 255, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 99_999, 100_000, -99_999)


def packed(kind: str, *items: float) -> str:
    """A column."""
    return b64encode(np.array(items, f"<{kind}").tobytes()).decode()


def value(**fields: Any) -> bytes:
    """The whole line with other fields; None: without."""
    return json.dumps({name: item for name, item in {**WHOLE, **fields}.items() if item is not None}).encode()


@st.composite
def arrays(draw: st.DrawFn) -> str:
    """A column of some width and length, of extremes or of anything."""
    width, count = draw(st.sampled_from([1, 2, 4, 8])), draw(st.integers(0, 5))
    extreme = st.sampled_from(EXTREMES).map(lambda item: (item % 256**width).to_bytes(width, "little"))
    floats = st.sampled_from([*NOT_FINITE, 0.0, -0.0, 5e-324, 1.8e308]).map(lambda item: np.float64(item).tobytes())
    anything = st.binary(min_size=width, max_size=width)
    items = draw(st.lists(extreme | anything | floats, min_size=count, max_size=count))
    return b64encode(b"".join(items)[: draw(st.sampled_from([10**6, 10**6, 7, 8, 9]))]).decode()


@given(
    st.sampled_from(LINES),
    st.dictionaries(st.sampled_from(COLUMNS), arrays() | st.text("AB+/=-_ \n", max_size=9), min_size=1, max_size=3),
)
@settings(max_examples=800)
def test_whatever_stands_in_a_column_is_what_the_reference_says(line: bytes, replaced: dict[str, str]) -> None:
    broken = json.dumps({**json.loads(line), **replaced}).encode()

    assert rollups(broken) == rollups_of_reference(broken)


BAD: dict[str, dict[str, Any]] = {
    "no series": {"series": ""},
    "half a fingerprint": {"series": packed("u4", 1)},
    "fewer rows than columns": {"series": packed("u8", 1, 2)},
    "more rows than columns": {"series": packed("u8", 1, 2, 3, 4)},
    "more rows than are read": {"series": packed("u8", *range(MAX_ROWS + 1))},
    "not base64": {"sum": "????"},
    "base64 for addresses": {"sum": "_-__"},
    "base64 without its padding": {"zero": "AAAB"[:-1]},
    "base64 with a line break": {"zero": "AAAB\n"},
    "a float cut short": {"sum": packed("u1", *range(23))},
    "floats of four bytes": {"sum": packed("f4", 1, 2, 3)},
    "integers of three bytes": {"n": packed("u1", *range(9))},
    "a column of another number of rows": {"n": packed("u8", 1, 2)},
    "not a number": {"sum": packed("f8", 1, float("nan"), 2)},
    "an infinite number": {"max": packed("f8", 1, 2, float("inf"))},
    "a count beyond 63 bits": {"n": packed("u8", 1, 2**63, 3)},
    "an index beyond the list": {"source_index": packed("u1", 0, 2, 0)},
    "dimensions beyond the list": {"dimensions_index": packed("u8", 0, 2**64 - 1, 0)},
    "a window beyond 63 bits": {"window_index": packed("u8", 0, 2**62, 0)},
    "a time beyond 63 bits": {"first_after_ms": packed("u8", 0, 2**63 - 1, 0)},
    "buckets without lengths": {"positive_lengths": None},
    "lengths without buckets": {"positive_buckets": packed("i2", 1)},
    "lengths of what cannot be there": {"positive_lengths": packed("u8", 2**63, 2**63, 4), "positive_counts": None},
    "lengths beyond the record": {"positive_lengths": packed("u4", 2**31, 2**31, 4), "positive_buckets": None},
    "buckets that nobody has memory for": {
        **dict.fromkeys(COLUMNS),
        "series": packed("u8", *range(MAX_ROWS)),
        "positive_lengths": packed("u4", *[2**20] * MAX_ROWS),
    },
    "a bucket beyond the last": {"negative_buckets": packed("i4", 0, 100_000)},
    "a bucket twice": {"positive_buckets": packed("i2", 1, 1, 1, 2)},
    "buckets that fall": {"positive_buckets": packed("i2", 2, 1, 1, 2)},
    "a bucket of no values": {"positive_counts": packed("u1", 1, 0, 1, 1)},
    "a column of numbers": {"sum": [1.0, 2.0, 3.0]},
    "no sources": {"sources": []},
    "no dimensions": {"dimensions": []},
    "too many sources": {"sources": ["x"] * (MAX_ROWS + 1)},
    "a column that is null": {"increase": None, "sum": 5},
}


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD.keys())
def test_columns_that_do_not_hold_rows_are_refused_by_both(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRecord) as hot:
        decode_rollups(value(**fields))
    with pytest.raises(BadRecord) as plain:
        reference.decode_rollups(value(**fields))

    assert hot.value.reason is plain.value.reason is Reason.BAD_SHAPE


def test_a_column_that_is_absent_is_all_zeros() -> None:
    kept = {"v", "type", "rollup", "size_ms", "metric", "kind", "topic", "epoch", "partition", "segment", "start_ms"}
    least = {name: item for name, item in WHOLE.items() if name in kept | {"sources", "dimensions", "series"}}

    rows = decode_rollups(json.dumps(least).encode())
    assert isinstance(rows, Rows)
    assert [(row.n, row.sum, row.source, row.positive, row.h_sum) for row in rows.rows] == [
        (0, 0.0, "web-1", {}, "0" * 16)
    ] * 3


def test_fields_that_a_later_version_may_add_are_passed_over() -> None:
    later = value(added={"deep": [1]})

    assert decode_rollups(later) == decode_rollups(LINES[0])


def test_each_row_of_a_record_is_what_it_says() -> None:
    rows = decode_rollups(LINES[0])
    assert isinstance(rows, Rows)

    assert [(row.source, row.dimensions, row.start_ms - WHOLE["start_ms"], row.ver) for row in rows.rows] == [
        ("web-1", {"cpu.mode": "user"}, 0, 1042),
        ("wéb-2", {}, 0, 1042),
        ("web-1", {"cpu.mode": "user"}, 10_000, 70_000),
    ]
    assert [(row.positive, row.negative, row.zero) for row in rows.rows] == [
        ({-103: 4, -34: 6}, {}, 0),
        ({-69: 1, -34: 1}, {}, 0),
        ({}, {-34: 1, 70: 1}, 1),
    ]


def columns(line: bytes) -> Columns:
    decoded = decode_message(line)
    assert isinstance(decoded, Columns)
    return decoded


def told(block: Block) -> list[tuple[Any, ...]]:
    """Its rows, with what their records say of them."""
    values, rows = block.values, []
    ends = {side: np.cumsum(getattr(values, side).lengths) for side in ("positive", "negative")}
    plain = [
        getattr(values, name).tolist()
        for name in ("start_ms", "ver", "n", "sum", "min", "max", "first", "first_ms", "last", "last_ms", "increase")
    ]
    for row in range(len(block)):
        head = block.heads[int(block.record[row])]
        sketches = [
            (sketch.buckets[first:end].tolist(), sketch.counts[first:end].tolist())
            for side, sketch in (("positive", values.positive), ("negative", values.negative))
            for first, end in [(int(ends[side][row] - sketch.lengths[row]), int(ends[side][row]))]
        ]
        named = (head.metric, head.kind, head.sources[block.source[row]], head.dimensions[block.dimensions[row]])
        hashes = (int(block.series[row]), int(values.h_sum[row]), int(values.h_xor[row]), int(values.zero[row]))
        rows.append((*named, *hashes, *sketches, *(column[row] for column in plain)))
    return rows


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=6))
def test_records_together_are_what_each_is_alone(lines: list[bytes]) -> None:
    records = [columns(line) for line in lines]

    assert told(block_of(records)) == [row for record in records for row in told(block_of([record]))]


@pytest.mark.parametrize("at", range(3))
def test_one_that_is_not_well_formed_is_not_passed_over_among_others(at: int) -> None:
    records = [columns(line) for line in LINES[:2]]
    records.insert(at, columns(value(sum=packed("f8", 1, float("nan"), 2))))

    with pytest.raises(ValueError, match="sum"):
        block_of(records)


def test_rows_of_golden_columns_are_what_the_model_makes_of_them() -> None:
    for line in LINES:
        rows = RollupColumns.model_validate_json(line).rows().rows
        assert [(row.series, row.start_ms, row.sum) for row in rows_of(columns(line)).rows] == [
            (row.series, row.start_ms, row.sum) for row in rows
        ]


def test_rows_of_many_records_are_those_of_each_in_their_order() -> None:
    records = [columns(line) for line in (*LINES, *LINES[::-1])]

    assert rows_of_all(records) == [rows_of(one) for one in records]
    assert rows_of_all([]) == []
    with pytest.raises(BadRecord, match="do not hold rows"):
        rows_of_all([*records, columns(value(window_index="AAA="))])


def test_what_the_tests_know_as_columns_are_all_of_them() -> None:
    assert len(COLUMNS) == 23
    assert {name for name in COLUMNS if WHOLE.get(name)} == set(COLUMNS) - {"increase"}


def test_the_newest_window_of_a_record_is_known_whatever_its_form() -> None:
    whole = decode_message(LINES[0])
    one_window = decode_message(LINES[1])
    as_rows = decode_rollups(LINES[0])
    assert isinstance(whole, Columns)
    assert isinstance(one_window, Columns)
    assert isinstance(as_rows, Rows)

    assert newest_ms(whole) == newest_ms(as_rows) == WHOLE["start_ms"] + 10_000
    assert newest_ms(one_window) == WHOLE["start_ms"]
    assert rows_of(as_rows) is as_rows


def test_columns_that_do_not_hold_rows_are_no_record_when_their_rows_are_asked_for() -> None:
    bad = columns(value(window_index="AAA="))

    for ask in (newest_ms, rows_of):
        with pytest.raises(BadRecord, match="do not hold rows"):
            ask(bad)
