"""Numbers that no record bears."""

from hypothesis import given
from hypothesis import strategies as st

from engine.gaps import Gap, Sequences

FIRST, SECOND = ("metrics.samples", 0), ("logs", 1)
NOW = 600_000


def sequences(*seqs: int, source: str = "s", boot: str = "b", clock_ms: int = NOW) -> Sequences:
    found = Sequences()
    for seq in seqs:
        found.add((source, boot, seq), FIRST, clock_ms=clock_ms, at_ms=seq * 30_000)
    return found


def missing(found: Sequences, from_ms: int = 0, to_ms: int = NOW + 1) -> list[tuple[int, int]]:
    return [(gap.first, gap.last) for gap in found.gaps(from_ms, to_ms)]


def test_what_is_missing_is_told_with_the_place_and_the_minute_of_the_record_before_it() -> None:
    assert list(sequences(3, 4, 7, 9).gaps(0, NOW + 1)) == [
        Gap("s", "b", 5, 6, FIRST, 120_000),
        Gap("s", "b", 8, 8, FIRST, 210_000 // 60_000 * 60_000),
    ]
    assert [gap.missing for gap in sequences(3, 7).gaps(0, NOW + 1)] == [3]


def test_numbers_may_come_in_any_order_on_any_topic_and_more_than_once() -> None:
    found = sequences(9, 3, 5, 5)
    for seq in (4, 8, 6):
        found.add(("s", "b", seq), SECOND, clock_ms=NOW, at_ms=0)
    assert list(found.gaps(0, NOW + 1)) == [Gap("s", "b", 7, 7, SECOND, 0)]


def test_what_another_source_of_the_same_process_bears_is_not_missing() -> None:
    found = sequences(1, 5)
    found.add(("other", "b", 3), FIRST, clock_ms=NOW, at_ms=0)
    found.add(("other", "another boot", 2), FIRST, clock_ms=NOW, at_ms=0)
    assert missing(found) == [(2, 2), (4, 4)]


def test_what_several_sources_of_one_process_do_not_bear_is_told_once_of_the_one_before_it() -> None:
    for first, second in (("s", "other"), ("other", "s")):
        found = Sequences()
        seqs = {"s": (1, 5, 10), "other": (3, 9)}
        for source in (first, second):
            for seq in seqs[source]:
                found.add((source, "b", seq), FIRST, clock_ms=NOW, at_ms=0)
        told = sorted((gap.first, gap.last, gap.source) for gap in found.gaps(0, NOW + 1))
        assert told == [(2, 2, "s"), (4, 4, "other"), (6, 8, "s")]


def test_only_between_records_that_came_while_all_logs_were_read_something_is_missing() -> None:
    assert missing(sequences(1, 3), from_ms=NOW + 1, to_ms=NOW + 2) == []
    assert missing(sequences(1, 3), to_ms=NOW) == []
    assert missing(sequences(1)) == []
    across = sequences(1)
    across.add(("s", "b", 3), FIRST, clock_ms=NOW + 5, at_ms=0)
    assert missing(across, to_ms=NOW + 6) == [(2, 2)]
    assert missing(across, to_ms=NOW + 5) == missing(across, from_ms=NOW + 1, to_ms=NOW + 6) == []


def test_a_record_that_cannot_be_read_may_bear_a_number_of_its_source_or_of_any() -> None:
    found = sequences(1, 3, 6, 8)
    found.unread("another")
    assert missing(found) == [(2, 2), (4, 5), (7, 7)]
    found.unread("s")
    assert missing(found) == [(4, 5), (7, 7)]
    found.unread(None)
    assert missing(found) == [(4, 5)]
    found.unread(None)
    assert missing(found) == [(7, 7)]
    found.unread("s")
    assert missing(found) == []


@given(st.sets(st.integers(0, 40), min_size=2), st.sets(st.integers(0, 40)))
def test_together_with_what_is_known_the_gaps_leave_no_number_out_and_name_none_twice(
    present: set[int], known: set[int]
) -> None:
    parts = [part for gap in sequences(*present).gaps(0, NOW + 1) for part in gap.without(known)]
    named = [seq for part in parts for seq in range(part.first, part.last + 1)]
    assert named == sorted(set(range(min(present), max(present))) - present - known)
