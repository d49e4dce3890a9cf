"""The fold of one partition: windows, segments, duplicates, late records, commits."""

import json

import pytest

from engine.fold import Counts, PartitionFold
from engine.fold_config import FoldConfig, Start
from engine.identity import record_hash
from schemas.deadletters import Fault
from schemas.errors import BadRecord, Reason
from schemas.samples import Kind, Sketch
from schemas.series import Decoded, Point, series_of
from schemas.wire import Input, SampleDecoder, Tick
from tests.engine.logs import CONFIG, EPOCH, folded, fresh, newest, parts, record, rows_of, tick

T = 1_000_000_020_000
"""A multiple of the segment's length, as a moment of the log."""


def test_a_row_holds_count_sum_extremes_first_last_and_the_hashes_of_its_records() -> None:
    log: list[Input] = [tick(T), record(1, T + 100, 5.0), record(2, T + 300, 1.0), record(3, T + 200, 9.0)]
    (row,) = folded(log).values()
    assert (row.n, row.sum, row.min, row.max) == (3, 15.0, 1.0, 9.0)
    assert (row.first, row.first_ms, row.last, row.last_ms) == (5.0, T + 100, 1.0, T + 300)
    hashes = [record_hash("s", "b", seq) for seq in (1, 2, 3)]
    assert int(row.h_sum, 16) == sum(hashes) % 2**64
    assert int(row.h_xor, 16) == hashes[0] ^ hashes[1] ^ hashes[2]
    assert row.ver == 4


def test_of_equal_times_the_last_offset_is_last_and_the_first_offset_first() -> None:
    (row,) = folded([tick(T), record(1, T, 5.0), record(2, T, 6.0)]).values()
    assert (row.first, row.last) == (5.0, 6.0)


def test_a_segment_is_cut_where_the_clock_passes_its_length_and_named_by_that_offset() -> None:
    log: list[Input] = [tick(T), record(1, T), tick(T + 29_999), record(2, T, sent_ms=T + 29_999), tick(T + 30_000)]
    log.append(record(3, T + 30_000))
    assert sorted(segment for _, _, segment in folded(log)) == [0, 4]


def test_records_before_the_first_tick_are_a_segment_of_their_own() -> None:
    rows = folded([record(1, T), tick(T), record(2, T)])
    assert sorted(segment for _, _, segment in rows) == [0, 1]


def test_a_duplicate_is_dropped_in_its_segment_and_the_two_after_it() -> None:
    log: list[Input] = [tick(T), record(1, T), tick(T + 30_000), record(1, T), tick(T + 60_000), record(1, T)]
    fold = fresh()
    fold.fold(range(len(log)), log)
    assert (fold.counts.records, fold.counts.duplicates) == (1, 2)


def test_a_dropped_duplicate_is_remembered_from_where_it_occurred() -> None:
    times = [T, T + 60_000, T + 120_000]
    log: list[Input] = [entry for at_ms in times for entry in (tick(at_ms - 30_000), tick(at_ms), record(1, T))]
    fold = fresh()
    fold.fold(range(len(log)), log)
    assert (fold.counts.records, fold.counts.duplicates) == (1, 2)


def test_a_repeat_beyond_the_horizon_counts_again() -> None:
    log: list[Input] = [tick(T), record(1, T), tick(T + 30_000), tick(T + 60_000), tick(T + 90_000), record(1, T)]
    fold = fresh()
    fold.fold(range(len(log)), log)
    assert fold.counts.records == 2


def test_a_window_is_due_when_the_watermark_reaches_its_end_and_again_when_late_data_comes() -> None:
    fold = fresh()
    fold.fold([0, 1, 2], [tick(T), record(1, T), tick(T + 11_999)])
    assert fold.checkpoint(early=False).rows == 0
    fold.fold([3], [tick(T + 12_000)])
    first = fold.checkpoint(early=False)
    assert (first.rows, first.watermark_ms, first.next_offset) == (1, T + 10_000, 4)
    assert fold.checkpoint(early=True).rows == 0
    fold.fold([4], [record(2, T + 1, sent_ms=T + 12_000)])
    late = fold.checkpoint(early=False)
    assert fold.counts.late == 1
    assert next(iter(newest(rows_of(first, late)).values())).n == 2


def test_an_open_window_is_published_early_when_it_is_asked_for() -> None:
    fold = fresh()
    fold.fold([0, 1], [tick(T), record(1, T)])
    assert fold.checkpoint(early=True).rows == 1


@pytest.mark.parametrize(("sent_ms", "shifted"), [(T - 5_000, True), (T - 2_000, False), (T + 800_000, False)])
def test_a_slow_clock_is_shifted_and_a_record_between_ticks_is_not(sent_ms: int, shifted: bool) -> None:
    rows = folded([tick(T), record(1, sent_ms, sent_ms=sent_ms)])
    (start_ms,) = {start for _, start, _ in rows}
    assert start_ms == (T if shifted else sent_ms - sent_ms % 10_000)


def test_a_clock_that_is_far_ahead_is_shifted_back() -> None:
    ((_, start_ms, _),) = folded([tick(T), record(1, T + 3_600_000)])
    assert start_ms == T


def test_append_times_tell_the_clock_and_bound_the_skew_in_both_directions() -> None:
    fold = fresh()
    fold.fold([0, 1], [record(1, T + 10_000), record(2, T + 31_000)], [T, T + 30_000])
    rows = newest(rows_of(fold.checkpoint(early=True)))
    assert {(start, segment) for _, start, segment in rows} == {(T, 0), (T + 30_000, 1)}
    assert fold.clock_ms == T + 30_000


def test_a_clock_never_goes_back() -> None:
    fold = fresh()
    fold.fold([0, 1], [tick(T), tick(T - 1)])
    assert (fold.clock_ms, fold.watermark_ms) == (T, T - 2_000)


def test_before_any_tick_there_is_no_watermark() -> None:
    assert fresh().watermark_ms is None
    assert fresh().checkpoint(early=True).watermark_ms is None


def test_the_commit_stays_two_segments_behind_the_oldest_that_is_not_durable() -> None:
    fold = fresh()
    commits = []
    for offset in range(6):
        fold.fold([offset], [tick(T + offset * 30_000)])
        commits.append(fold.acknowledge(fold.checkpoint(early=False)))
    assert commits == [None, None, 0, 1, 2, 3]


def test_the_same_commit_is_not_made_twice() -> None:
    fold = fresh()
    fold.fold(range(4), [tick(T + number * 30_000) for number in range(4)])
    assert fold.acknowledge(fold.checkpoint(early=False)) == 1
    assert fold.acknowledge(fold.checkpoint(early=False)) is None


def test_a_warm_start_reads_two_segments_for_their_ids_only() -> None:
    log: list[Input] = [tick(T), record(1, T), tick(T + 30_000), tick(T + 60_000), record(1, T), record(2, T)]
    fold = PartitionFold(CONFIG, start=Start.WARM, offset=100)
    fold.fold(range(100, 100 + len(log)), log)
    rows = newest(rows_of(fold.checkpoint(early=True)))
    assert {segment for _, _, segment in rows} == {103}
    assert (fold.counts.records, fold.counts.duplicates) == (1, 1)


def test_faults_of_segments_that_are_read_for_ids_were_told_before() -> None:
    fold = PartitionFold(CONFIG, start=Start.WARM, offset=0)
    fold.fold([0, 1], [tick(T), BadRecord(Reason.NOT_JSON, "x")])
    assert fold.take_faults() == []


def test_a_log_that_was_cut_is_folded_from_the_next_segment_and_what_was_skipped_is_counted() -> None:
    fold = PartitionFold(CONFIG, start=Start.CUT, offset=50)
    log: list[Input] = [record(1, T), tick(T), record(2, T), tick(T + 30_000), record(3, T + 30_000)]
    fold.fold(range(50, 55), log)
    rows = newest(rows_of(fold.checkpoint(early=True)))
    assert {segment for _, _, segment in rows} == {53}
    assert fold.counts.skipped == 3
    assert fold.checkpoint(early=True).durable_below == 0


@pytest.mark.parametrize("size", [1, 4])
def test_a_refused_record_a_bad_sample_and_a_foreign_tick_are_told_with_their_offset(size: int) -> None:
    series = series_of("m", "s", {}, Kind.GAUGE)
    fault = Fault(reason=Reason.BAD_SHAPE, detail="x", sample=1)
    half = Decoded("s", "b", 1, T, T, [Point(series, 1.0)], [fault])
    fold = fresh()
    log: list[Input] = [tick(T), half, BadRecord(Reason.NOT_JSON, "y"), Tick(1, "other", T + 99_000)]
    fold.fold_parts(range(4), parts(log, size))
    told = [(offset, [one.reason for one in faults]) for offset, faults in fold.take_faults()]
    assert told == [(1, [Reason.BAD_SHAPE]), (2, [Reason.NOT_JSON]), (3, [Reason.FOREIGN_TICK])]
    assert fold.take_faults() == []
    assert (fold.clock_ms, fold.counts.points, fold.counts.faults) == (T, 1, 3)


def fast(samples: list[dict[str, object]], seq: int = 1, at_ms: int = T) -> list[Input]:
    """A record as the fast decoder gives it."""
    fields = {"v": 1, "source": "s", "boot": "b", "seq": seq, "at_ms": at_ms, "samples": samples, "sent_ms": at_ms}
    return SampleDecoder().decode_batch([json.dumps(fields).encode()])


def test_bad_names_and_implausible_times_are_faults_and_the_other_samples_are_folded() -> None:
    samples: list[dict[str, object]] = [
        {"metric": "good", "value": 1},
        {"metric": "good", "value": 2},
        {"metric": "1 bad", "value": 1},
        {"metric": "good", "value": 1, "dimensions": {"": "x"}},
        {"metric": "good", "value": 1, "at_ms": T + 100_000},
        {"metric": "good", "value": 3, "at_ms": T - 10_000},
    ]
    fold = fresh()
    fold.fold([0, 1], [tick(T), *fast(samples)])
    ((offset, faults),) = fold.take_faults()
    assert (offset, [(one.sample, one.reason) for one in faults]) == (
        1,
        [(2, Reason.BAD_SHAPE), (3, Reason.BAD_SHAPE), (4, Reason.FUTURE)],
    )
    rows = newest(rows_of(fold.checkpoint(early=True)))
    assert sorted((start, row.n) for (_, start, _), row in rows.items()) == [(T - 10_000, 1), (T, 2)]


def test_counters_grow_by_time_whatever_order_they_arrive_in_and_a_restart_counts_from_zero() -> None:
    values = [(T + 1, 10.0), (T + 3, 2.0), (T + 2, 15.0)]
    log: list[Input] = [
        tick(T),
        *(record(seq, at, value, kind=Kind.CUMULATIVE) for seq, (at, value) in enumerate(values)),
    ]
    (row,) = folded(log).values()
    assert (row.increase, row.positive) == (7.0, {})


def test_increments_add_up_and_have_no_growth_of_their_own() -> None:
    (row,) = folded([tick(T), record(1, T, 3.0, kind=Kind.DELTA)]).values()
    assert (row.sum, row.increase, row.positive) == (3.0, 0.0, {})


def test_values_below_above_and_at_zero_are_counted_in_their_buckets() -> None:
    (row,) = folded([tick(T), *(record(seq, T, value) for seq, value in enumerate([1.0, 1.0, 0.0, -1.0]))]).values()
    assert (row.zero, row.positive, row.negative) == (1, {0: 2}, {0: 1})


def test_a_whole_distribution_is_merged() -> None:
    sketch = Sketch(sum=6.0, min=-1.0, max=4.0, zero=1, positive={"3": 2}, negative={"0": 1})
    point = Point(series_of("m", "s", {}, Kind.SKETCH), 0.0, None, sketch)
    log: list[Input] = [tick(T), *(Decoded("s", "b", seq, T, T, [point]) for seq in (1, 2))]
    (row,) = folded(log).values()
    assert (row.n, row.sum, row.min, row.max, row.zero) == (8, 12.0, -1.0, 4.0, 2)
    assert (row.positive, row.negative) == ({3: 4}, {0: 2})


def test_beyond_the_memory_guard_series_are_folded_into_one_for_each_metric() -> None:
    config = FoldConfig(topic="t", partition=0, epoch=EPOCH, max_rows=1)
    other = Decoded("other", "b", 1, T, T, [Point(series_of("b", "other", {}, Kind.GAUGE), 1.0)])
    log: list[Input] = [
        tick(T),
        *(record(seq, T, metric=metric) for seq, metric in enumerate(["a", "b", "c", "b", "a"])),
        other,
    ]
    fold = fresh(config)
    fold.fold(range(len(log)), log)
    rows = newest(rows_of(fold.checkpoint(early=True))).values()
    assert sorted((row.source, row.n) for row in rows) == [("__other__", 1), ("__other__", 3), ("s", 2)]
    assert fold.counts.overflowed == 4


def test_the_same_overflow_stands_for_a_metric_in_every_segment() -> None:
    config = FoldConfig(topic="t", partition=0, epoch=EPOCH, max_rows=1)
    log: list[Input] = [
        entry
        for turn, at_ms in enumerate([T, T + 30_000])
        for entry in (tick(at_ms), record(2 * turn, at_ms, metric="a"), record(2 * turn + 1, at_ms, metric="b"))
    ]
    rows = folded(log, config=config).values()
    assert len({row.series for row in rows if row.source == "__other__"}) == 1


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("bound", ["engine.shapes.MAX_SHAPED", "engine.segments.MAX_TABLES"])
def test_what_is_remembered_of_shapes_is_bounded_and_forgetting_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, bound: str, size: int
) -> None:
    monkeypatch.setattr(bound, 3)
    shapes = [
        [{"metric": metric, "value": value} for metric in metrics] for value, metrics in enumerate(["abc", "ab", "abc"])
    ]
    log = [entry for seq, samples in enumerate(shapes * 5) for entry in fast(samples, seq, T + seq * 10_000)]
    fold = fresh()
    fold.fold([0], [tick(T)])
    for offset in range(0, len(log), size):
        batch = log[offset : offset + size]
        fold.fold(range(1 + offset, 1 + offset + len(batch)), batch)
    rows = newest(rows_of(fold.checkpoint(early=True)))
    assert {row.n for row in rows.values()} == {1}
    assert (len(rows), fold.counts.points) == (40, 40)


def test_a_series_that_is_new_may_come_twice_in_one_batch() -> None:
    log = [tick(T), *(entry for seq in (1, 2, 3) for entry in fast([{"metric": "m", "value": 1.0}], seq))]
    fold = fresh()
    fold.fold([0], log[:1])
    fold.fold(range(1, len(log)), log[1:])
    assert [row.n for row in newest(rows_of(fold.checkpoint(early=True))).values()] == [3]


def test_a_repeat_beside_a_distribution_takes_nothing_from_it() -> None:
    sketch = Sketch(sum=5.0, min=5.0, max=5.0, positive={"80": 1})
    point = Point(series_of("m", "s", {}, Kind.SKETCH), 0.0, None, sketch)
    log: list[Input] = [tick(T), record(1, T), record(1, T), Decoded("s", "b", 2, T, T, [point])]
    rows = folded(log).values()
    assert [(row.n, row.sum) for row in rows] == [(2, 6.0)]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_records_that_name_their_series_and_such_that_have_a_shape_are_folded_in_their_order(size: int) -> None:
    """0.1 + 0.2 + 0.3 differs in its last bit from 0.3 + 0.2 + 0.1."""
    one, two = fast([{"metric": "m", "value": 0.1}], 1), fast([{"metric": "m", "value": 0.3}], 3)
    sketch = Sketch(sum=0.2, min=0.2, max=0.2, positive={"-80": 1})
    point = Point(series_of("m", "s", {}, Kind.SKETCH), 0.0, None, sketch)
    rows = []
    for log in ([*one, Decoded("s", "b", 2, T, T, [point]), *two], [*two, Decoded("s", "b", 2, T, T, [point]), *one]):
        fold, whole = fresh(), [tick(T), *log]
        fold.fold_parts(range(len(whole)), parts(whole, size))
        (row,) = newest(rows_of(fold.checkpoint(early=True))).values()
        rows.append((row.n, row.sum))
    assert rows == [(3, 0.1 + 0.2 + 0.3), (3, 0.3 + 0.2 + 0.1)]
    assert rows[0] != rows[1]


def test_the_last_moment_that_can_be_written_has_a_first_value() -> None:
    (row,) = folded([record(1, 2**63 - 1, 5.0)]).values()
    assert (row.first, row.last) == (5.0, 5.0)


def test_a_clock_that_was_not_set_yet_makes_no_time_before_1970() -> None:
    own = Decoded("s", "b", 2, T, T, [Point(series_of("m", "s", {}, Kind.GAUGE), 1.0, T - 20_000)])
    rows = folded([tick(5_000), record(1, T - 20_000, sent_ms=T), own])
    assert {start_ms for _, start_ms, _ in rows} == {0}


def test_a_message_that_would_be_too_long_is_split_and_holds_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.checkpoints.MAX_MESSAGE_BYTES", 1_000)
    log: list[Input] = [tick(T), *(record(seq, T + seq * 10_000) for seq in range(20))]
    fold = fresh()
    fold.fold(range(len(log)), log)
    checkpoint = fold.checkpoint(early=True)
    assert all(len(value) <= 1_000 for _, value in checkpoint.messages)
    assert len(rows_of(checkpoint)) == len(newest(rows_of(checkpoint))) == checkpoint.rows == 20


def test_a_message_of_one_row_is_never_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.checkpoints.MAX_MESSAGE_BYTES", 1)
    assert len(folded([tick(T), record(1, T), record(2, T + 10_000)])) == 2


def test_nothing_in_nothing_out() -> None:
    fold = fresh()
    fold.fold([], [])
    assert (fold.next_offset, fold.counts) == (0, Counts())
    assert fold.acknowledge(fold.checkpoint(early=True)) is None


def test_a_hash_is_a_bijection_of_the_sequence() -> None:
    assert len({record_hash("s", "b", seq) for seq in range(10_000)}) == 10_000


def test_a_record_of_the_fast_decoder_is_folded() -> None:
    fold = fresh()
    fold.fold([0, 1], [tick(T), *fast([{"metric": "good", "value": 1}])])
    assert (fold.counts.points, fold.take_faults()) == (1, [])
