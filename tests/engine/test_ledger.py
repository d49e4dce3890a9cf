"""What the conservation ledger makes of two places that should hold the same."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.identity import MASK
from engine.ledger import ALL, Finding, Published, Row, Span, Stage, compare, judged, kept_together, of_records
from engine.recount import Cell, Named, Total, Totals

PLACE = ("metrics.samples", 3)
A, B = Cell(0, "a"), Cell(60_000, "b")


def totals(cells: Mapping[Cell, Mapping[int, int]]) -> Totals:
    """By cell, how many values came from the record of a hash."""
    found = {}
    for cell, records in cells.items():
        found[cell] = Total()
        for hashed, count in records.items():
            for _ in range(count):
                found[cell].add(1, hashed)
    return found


def told(before: Totals, after: Totals, **options: object) -> list[tuple[Cell, int, int, bool]]:
    found = compare(Stage.FOLD, PLACE, before, after, **options)  # type: ignore[arg-type]
    return [(Cell(one.minute_ms, one.source), one.lost, one.double, one.at_least) for one in found]


def test_what_is_lost_or_double_is_named_with_stage_partition_minute_and_source() -> None:
    before, after = totals({A: {7: 2, 9: 1}}), totals({A: {9: 1}, B: {5: 3}})
    assert list(compare(Stage.SINK, PLACE, before, after)) == [
        Finding(
            stage=Stage.SINK,
            topic="metrics.samples",
            partition=3,
            minute_ms=0,
            source="a",
            lost=2,
            double=0,
            at_least=True,
        ),
        Finding(
            stage=Stage.SINK,
            topic="metrics.samples",
            partition=3,
            minute_ms=60_000,
            source="b",
            lost=0,
            double=3,
            at_least=True,
        ),
    ]


def test_a_loss_and_a_double_count_of_equally_many_values_show_in_the_hashes() -> None:
    assert told(totals({A: {7: 1, 9: 1}}), totals({A: {7: 1, 8: 1}})) == [(A, 1, 1, True)]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_single_record_whose_values_are_lost_is_named(n: int) -> None:
    records = {7: Named("b", 1, 10, 3), 9: Named("b", 2, 11, 3)}
    before, after = totals({A: {7: 3, 9: 3}}), totals({A: {7: 3 - n, 9: 3}})
    [found] = compare(Stage.FOLD, PLACE, before, after, records={A: records})
    assert (found.lost, found.at_least, found.records) == (n, False, (records[7],))
    both = totals({A: {7: 1, 9: 2}})
    assert told(before, both, records={A: records}) == [(A, 3, 0, True)]


Records = dict[Cell, dict[int, int]]
CELLS = st.dictionaries(
    st.builds(Cell, st.sampled_from([0, 60_000]), st.sampled_from("ab")),
    st.dictionaries(st.integers(1, MASK), st.integers(1, 3), min_size=1, max_size=3),
    max_size=4,
)


@given(CELLS, CELLS)
def test_a_cell_is_found_just_where_its_values_differ(
    before: dict[Cell, dict[int, int]], after: dict[Cell, dict[int, int]]
) -> None:
    found = {cell: (lost, double) for cell, lost, double, _ in told(totals(before), totals(after))}
    differ = {cell for cell in before.keys() | after.keys() if before.get(cell) != after.get(cell)}
    assert found.keys() == differ
    for cell, (lost, double) in found.items():
        missing = sum(before.get(cell, {}).values()) - sum(after.get(cell, {}).values())
        assert lost - double == missing
        assert lost or double


def one_cell(*, log: dict[int, int], rows: dict[int, int], inside: set[int]) -> Finding | None:
    """By the hash of a record, its values in the log and in raw rows; and which of them stand in the compared part."""
    given, has = ({one: Named("b", one, one, n) for one, n in side.items()} for side in (log, rows))
    return of_records(
        PLACE,
        A,
        given={hashed: named for hashed, named in given.items() if hashed in inside},
        has={hashed: named for hashed, named in has.items() if hashed in inside},
        given_at_all=given,
        has_at_all=has,
    )


def test_a_raw_row_that_stands_elsewhere_since_its_record_came_again_is_not_lost() -> None:
    assert one_cell(log={7: 2}, rows={7: 2}, inside=set()) is None
    given = {7: Named("b", 7, 7, 2)}
    assert of_records(PLACE, A, given=given, has={}, given_at_all=given, has_at_all=given) is None
    assert of_records(PLACE, A, given={}, has=given, given_at_all=given, has_at_all=given) is None


def test_raw_rows_are_lost_or_double_record_by_record() -> None:
    found = one_cell(log={7: 2, 8: 1, 5: 1}, rows={7: 1, 9: 4, 8: 3}, inside={7, 8, 9})
    assert found is not None
    assert (found.stage, found.lost, found.double, found.at_least) == (Stage.RAW, 1, 6, False)
    assert found.records == [Named("b", 7, 7, 1), Named("b", 8, 8, 2), Named("b", 9, 9, 4)]


STARTS = [(0, 1_000), (40, 31_000), (70, 61_000), (99, 91_000)]


@pytest.mark.parametrize(
    ("options", "span"),
    [
        ({}, Span(0, 99)),
        ({"limit": 98}, Span(0, 70)),
        ({"limit": 39}, None),
        ({"warm": 1}, Span(40, 99)),
        ({"warm": 3}, None),
        ({"from_ms": 31_000}, Span(40, 99)),
        ({"to_ms": 61_000}, Span(0, 70)),
        ({"from_ms": 31_001, "to_ms": 61_000}, None),
    ],
)
def test_only_whole_segments_that_went_through_all_stages_are_judged(
    options: dict[str, int], span: Span | None
) -> None:
    assert judged(STARTS, **{"from_ms": 0, "to_ms": 10**9, "limit": 10**9, "warm": 0, **options}) == span
    assert judged([], from_ms=0, to_ms=1, limit=9, warm=0) is None


def test_sources_are_counted_together_in_minutes_in_which_the_memory_guard_kept_series_together() -> None:
    whole = kept_together(totals({Cell(0, "a"): {7: 1}, Cell(0, "b"): {9: 1}, Cell(60_000, "a"): {5: 1}}), {0})
    assert whole == totals({Cell(0, ALL): {7: 1, 9: 1}, Cell(60_000, "a"): {5: 1}})


def test_of_rows_with_one_identity_the_newest_holds_and_only_segments_of_the_span_count() -> None:
    def row(segment: int, ver: int, n: int, *, overflow: bool = False, cell: Cell = A) -> Row:
        return Row(PLACE, segment, cell, ver, Total(n, n, n), overflow)

    published = Published()
    for identity, one in (
        ("x", row(40, 2, 5)),
        ("x", row(40, 3, 6)),
        ("x", row(40, 1, 4)),
        ("y", row(70, 1, 1, overflow=True, cell=B)),
        ("z", row(99, 1, 9)),
        ("v", row(39, 1, 9)),
        ("w", row(40, 1, 9)._replace(place=("logs", 3))),
    ):
        published.add(identity, one)
    assert published.of(PLACE, Span(40, 99)) == ({A: Total(6, 6, 6), B: Total(1, 1, 1)}, {60_000})
