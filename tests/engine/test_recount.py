"""The plain count of a log, and the clock that it goes by: the same as the fold's, on every log."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from engine.identity import record_hash
from engine.log_clock import UNKNOWN, LogClock, Place
from engine.recount import MINUTE_MS, Cell, Named, Recount, Total, together
from schemas.errors import BadRecord, Reason
from schemas.samples import Kind, Sketch
from schemas.series import Decoded, Point, series_of
from schemas.wire import Input, SampleDecoder, SampleRecord, Tick
from tests.engine.logs import CONFIG, folded, newest, record, rows_of, tick
from tests.engine.test_fold_properties import T, logs

BEYOND = 2**63 - 1
RECORDS = (SampleRecord, Decoded)


def places(clock: LogClock, log: Sequence[Input], first: int, stamps: Sequence[int] | None = None) -> list[Place]:
    """Places of a part of a log that begins at an offset; the broker's stamps, or ticks, tell the time."""
    found = []
    for at, one in enumerate(log):
        sent_ms = one.sent_ms if isinstance(one, RECORDS) else None
        told_ms = stamps[at] if stamps is not None else one.at_ms if isinstance(one, Tick) else UNKNOWN
        found.append(clock.place(first + at, sent_ms=sent_ms, told_ms=told_ms, stamped=stamps is not None))
    return found


def take(recount: Recount, log: Sequence[Input], *, config: FoldConfig = CONFIG) -> None:
    for offset, (one, place) in enumerate(zip(log, places(LogClock(config), log, 0), strict=True)):
        recount.take(offset, one, place)


def counted(log: Sequence[Input], stamps: Sequence[int] | None = None) -> Recount:
    recount = Recount(storable_ms=BEYOND)
    for offset, (one, place) in enumerate(zip(log, places(LogClock(CONFIG), log, 0, stamps), strict=True)):
        recount.take(offset, one, place)
    return recount


def folded_of(log: Sequence[Input], stamps: Sequence[int] | None = None) -> dict[Cell, Total]:
    return together(counted(log, stamps).folded.values())


def of_rows(log: Sequence[Input], stamps: Sequence[int] | None = None) -> dict[Cell, Total]:
    """What the fold's rows hold."""
    fold = PartitionFold(CONFIG, start=Start.FRESH, offset=0)
    fold.fold(range(len(log)), log, stamps)
    totals: dict[Cell, Total] = defaultdict(Total)
    for row in newest(rows_of(fold.checkpoint(early=True))).values():
        cell = Cell(row.start_ms // MINUTE_MS * MINUTE_MS, row.source)
        totals[cell].merge(Total(row.n, int(row.h_sum, 16), int(row.h_xor, 16)))
    return totals


@given(logs())
def test_the_plain_count_of_a_log_is_that_of_the_folds_rows(log: list[Input]) -> None:
    assert folded_of(log) == of_rows(log)


@given(logs(), st.lists(st.integers(0, 40_000), min_size=1, max_size=20))
def test_so_it_is_where_the_broker_stamps_the_records(log: list[Input], steps_ms: list[int]) -> None:
    stamps = [T + sum(steps_ms[: 1 + at % len(steps_ms)]) - 3_000 for at in range(len(log))]
    assert folded_of(log, stamps) == of_rows(log, stamps)


@given(logs(), st.data())
def test_a_clock_that_goes_on_from_what_is_known_of_an_offset_shows_the_same(
    log: list[Input], data: st.DataObject
) -> None:
    whole = places(LogClock(CONFIG), log, 0)
    at = data.draw(st.integers(1, len(log) - 1))
    known = sorted({place.segment for place in whole[:at] if place.segment >= whole[at - 1].horizon})
    resumed = LogClock(CONFIG, clock_ms=whole[at - 1].clock_ms, starts=known)
    assert places(resumed, log[at:], at) == whole[at:]


@given(logs())
def test_the_segments_are_those_of_the_rows(log: list[Input]) -> None:
    starts = {place.segment for place in places(LogClock(CONFIG), log, 0)}
    assert {segment for _, _, segment in folded(log)} <= starts


def test_a_repeat_counts_again_beyond_the_horizon_which_is_of_segments_not_of_time() -> None:
    again = record(1, T)
    near: list[Input] = [tick(T), again, tick(T + 3_600_000), again, tick(T + 7_200_000), tick(T + 7_230_000), again]
    far: list[Input] = [*near, *(tick(T + 7_230_000 + 30_000 * later) for later in (1, 2, 3)), again]
    assert [sum(total.n for total in folded_of(one).values()) for one in (near, far)] == [1, 2]
    assert folded_of(far) == of_rows(far)


def test_what_is_no_record_has_no_skew_and_an_unknown_clock_shifts_nothing() -> None:
    log: list[Input] = [record(0, T), tick(T + 60_000), BadRecord(Reason.NOT_JSON, "x"), record(1, T, sent_ms=T)]
    found = places(LogClock(CONFIG), log, 0)
    assert [place.shift_ms for place in found] == [0, 0, 0, 60_000]
    assert [place.clock_ms for place in found] == [UNKNOWN, T + 60_000, T + 60_000, T + 60_000]
    assert [place.segment for place in found] == [0, 1, 1, 1]


def test_raw_rows_hold_each_content_under_a_name_once_by_the_senders_clock() -> None:
    slow = record(1, T, sent_ms=T - 3_600_000)
    other = record(1, T + 5, sent_ms=T)
    recount = counted([tick(T), slow, slow, tick(T + 30_000), other])
    hashed = record_hash("s", "b", 1)
    cell = Cell(T // MINUTE_MS * MINUTE_MS, "s")
    assert recount.stored == {0: {cell: Total(1, hashed, hashed)}, 3: {cell: Total(1, hashed, hashed)}}
    moved = Cell((T + 3_600_000) // MINUTE_MS * MINUTE_MS, "s")
    assert recount.folded == {0: {moved: Total(1, hashed, hashed)}, 3: {}}


def test_values_that_cannot_be_stored_are_in_no_raw_row() -> None:
    log: list[Input] = [tick(T), record(1, T)]
    recount = Recount(storable_ms=T)
    take(recount, log)
    assert together(recount.stored.values()) == {}
    assert together(recount.folded.values())


def test_a_record_becomes_points_as_in_the_fold_bad_samples_and_distributions_too() -> None:
    values = [
        b'{"v":1,"source":"s","boot":"b","seq":1,"at_ms":%d,"sent_ms":%d,"samples":[' % (T, T)
        + b'{"metric":"a","value":1},{"metric":"a","value":2,"at_ms":%d},{"metric":"1 bad","value":1},' % (T - 70_000)
        + b'{"metric":"a","value":2,"at_ms":5}]}',
        b'{"v":1,"source":"s","boot":"b","seq":2,"at_ms":%d,"sent_ms":%d,"samples":[' % (T, T)
        + b'{"metric":"d","kind":"sketch","sketch":{"sum":3,"min":0,"max":2,"zero":1,"positive":{"5":2}}}]}',
    ]
    log: list[Input] = [tick(T), *SampleDecoder().decode_batch(values)]
    recount = counted(log)
    assert together(recount.folded.values()) == of_rows(log)
    assert sum(total.n for total in together(recount.stored.values()).values()) == 2 + 3


def test_records_of_wanted_cells_are_named_with_their_values() -> None:
    series = series_of("m", "s", {}, Kind.SKETCH)
    sketch = Sketch(sum=1.0, min=1.0, max=1.0, negative={"0": 4})
    twice = Decoded("s", "b", 7, T, T, [Point(series, 0.0, None, sketch), Point(series, 1.0, T + 1)])
    log: list[Input] = [tick(T), twice, record(8, T + MINUTE_MS)]
    cell = Cell(T // MINUTE_MS * MINUTE_MS, "s")
    recount = Recount(storable_ms=BEYOND, wanted=[cell])
    take(recount, log, config=replace(CONFIG, segment_ms=1_000))
    named = {cell: {record_hash("s", "b", 7): Named("b", 7, 1, 5)}}
    assert recount.folded_records == named
    assert recount.stored_records == named


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_totals_do_not_depend_on_the_order_in_which_they_are_added(order: tuple[int, ...]) -> None:
    parts = [Total(1, 2**64 - 1, 5), Total(2, 7, 3), Total(0, 0, 0)]
    whole = Total()
    for at in order:
        whole.merge(parts[at])
    assert whole == Total(3, 6, 6)
