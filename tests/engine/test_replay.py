"""A stretch that is folded step by step: what it calls final is what the whole log became, segment by segment."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fold_config import Start
from engine.replay import Begin, Covered, Piece, Stretch
from schemas.columns import Columns
from schemas.rollup_wire import Row, rows_of
from schemas.wire import Input
from tests.engine.logs import CONFIG, EPOCH, folded, newest, record, tick

SEGMENT_MS = CONFIG.segment_ms


def second(number: int) -> list[Input]:
    """A tick and three records, of which one is late."""
    at_ms = number * 1_000
    return [tick(at_ms), *(record(3 * number + n, at_ms + n - 5_000 * (n == 2)) for n in range(3))]


LOG = [one for number in range(200) for one in second(number)]


def stretch(begin: Begin | None = None) -> Stretch:
    return Stretch(CONFIG, CONFIG.topic, CONFIG.partition, begin or Begin(EPOCH, 0, Start.FRESH, 0))


def piece(log: Sequence[Input], first: int, end: int, *, epoch: str = EPOCH, stamped: bool = False) -> Piece:
    append_ms = [offset // 4 * 1_000 for offset in range(first, end)] if stamped else None
    return Piece(epoch, range(first, end), log[first:end], append_ms)


def advance(one: Stretch, clock_ms: int, pieces: list[Piece]) -> None:
    while not one.ended and not one.step(clock_ms):
        if pieces:
            one.take(pieces.pop(0))
        else:
            one.end()


def rows(messages: Sequence[Columns]) -> dict[tuple[str, int, int], Row]:
    flat = [rows_of(message) for message in messages]
    return newest(((row.series, row.start_ms, some.segment), row) for some in flat for row in some.rows)


@settings(max_examples=15)
@given(size=st.integers(20, 300), step_ms=st.integers(5_000, 70_000), stamped=st.booleans())
def test_final_rows_are_those_of_the_whole_segments_however_the_log_is_cut(
    size: int, step_ms: int, stamped: bool
) -> None:
    pieces = [piece(LOG, at, min(at + size, len(LOG)), stamped=stamped) for at in range(0, len(LOG), size)]
    one, final, news = stretch(), list[Columns](), list[Columns]()
    one.cover(whole=True)
    for clock_ms in range(step_ms, 300_000, step_ms):
        advance(one, clock_ms, pieces)
        news += one.rows()
        final += one.final()

    (covered,) = one.covered()
    assert covered == Covered(EPOCH, 0, 180 * 4)
    assert one.records == len(LOG)
    assert rows(final) == {identity: row for identity, row in folded(LOG).items() if identity[2] < 180 * 4}
    assert rows(final).items() <= rows(news).items()
    mark = one.mark()
    assert mark is not None
    assert (mark.watermark_ms, mark.next_offset) == (199_000 - CONFIG.lateness_ms, len(LOG))


def test_a_step_ends_with_the_record_that_brings_the_time() -> None:
    one, pieces = stretch(), [piece(LOG, 0, 400)]
    advance(one, 0, pieces)
    assert (one.clock_ms, one.records) == (0, 1)
    advance(one, 7_000, pieces)
    assert (one.clock_ms, one.records) == (7_000, 7 * 4 + 1)
    advance(one, 6_000, pieces)
    assert one.records == 7 * 4 + 1


def test_nothing_is_final_before_it_is_covered_and_then_only_what_began_by_then() -> None:
    one, pieces = stretch(), [piece(LOG, 0, len(LOG))]
    advance(one, 2 * SEGMENT_MS, pieces)
    assert one.rows() != []
    assert one.final() == []
    assert (one.covering, one.covered()) == (False, [])

    one.cover(whole=False)
    advance(one, 4 * SEGMENT_MS, pieces)
    one.rows()
    assert {message.segment for message in one.final()} == {240, 360}
    assert one.covered() == [Covered(EPOCH, 240, 480)]


def test_segments_before_the_first_live_one_are_read_for_ids_only() -> None:
    one, pieces = stretch(Begin(EPOCH, 0, Start.WARM, 240)), [piece(LOG, 0, len(LOG))]
    advance(one, 0, pieces)
    one.cover(whole=True)
    advance(one, 4 * SEGMENT_MS, pieces)
    one.rows()
    assert {message.segment for message in one.final()} == {240, 360}


@pytest.mark.parametrize("covers", [True, False])
def test_a_topic_that_was_made_anew_ends_the_segment_that_is_open(covers: bool) -> None:
    one = stretch()
    if covers:
        one.cover(whole=True)
    one.take(piece(LOG, 0, 400))
    assert not one.step(10**9)
    one.take(piece(LOG, 0, 200, epoch="e2", stamped=True))
    assert not one.step(10**9)
    one.take(piece(LOG, 37, 400, epoch="e3", stamped=True))
    assert not one.step(10**9)
    news, final = one.rows(), one.final()
    assert {message.epoch for message in news} == {EPOCH, "e2", "e3"}
    if covers:
        assert rows([message for message in final if message.epoch == EPOCH]) == folded(LOG[:400])
        assert [message for message in final if message.epoch == "e3" and message.segment < 120] == []
        assert one.covered() == [Covered(EPOCH, 0, None), Covered("e2", 0, None), Covered("e3", 37, 360)]
    else:
        assert (final, one.covered()) == ([], [])


def test_without_a_time_there_is_no_mark_and_ticks_of_others_tell_none() -> None:
    one = stretch()
    one.take(Piece(EPOCH, range(1), [type(tick(0))(1, "another", 5_000)]))
    assert not one.step(0)
    assert one.mark() is None
    assert one.clock_ms is None
