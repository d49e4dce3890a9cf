"""What must hold of every log: the fold does not depend on batches, crashes, early rows or the order of arrival."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engine.combine import Combined, combine
from engine.fold import PartitionFold
from engine.fold_config import Start
from schemas.reference import decode_samples
from schemas.rollup_wire import Row
from schemas.samples import Kind
from schemas.wire import Input, SampleDecoder
from tests.engine.logs import CONFIG, Identity, folded, newest, parts, record, rows_of, tick

T = 1_000_000_020_000
METRICS = ("a", "b")


@st.composite
def logs(draw: st.DrawFn) -> list[Input]:
    """Two minutes of ticks with records between them: some late, some repeated, some from a slow clock."""
    log: list[Input] = []
    for second in draw(st.lists(st.integers(1, 9), min_size=2, max_size=24)):
        now_ms = T + (len(log) + second) * 1_000
        log.append(tick(now_ms))
        for _ in range(draw(st.integers(0, 3))):
            seq = draw(st.integers(0, 12))
            late_ms = draw(st.sampled_from([0, 500, 15_000, 40_000]))
            slow_ms = draw(st.sampled_from([0, 0, 5_000]))
            metric, value = draw(st.sampled_from(METRICS)), float(draw(st.integers(-5, 5)))
            log.append(record(seq, now_ms - late_ms, value, sent_ms=now_ms - slow_ms, metric=metric))
    return log


@given(logs(), st.lists(st.integers(1, 7), min_size=1, max_size=10), st.integers(1, 4), st.booleans())
def test_the_fold_depends_neither_on_batches_and_their_parts_nor_on_when_rows_are_published(
    log: list[Input], sizes: list[int], part: int, early: bool
) -> None:
    fold = PartitionFold(CONFIG, start=Start.FRESH, offset=0)
    published, position = [], 0
    while position < len(log):
        size = sizes[position % len(sizes)]
        batch = log[position : position + size]
        fold.fold_parts(range(position, position + len(batch)), parts(batch, part))
        published.append(fold.checkpoint(early=early))
        position += len(batch)
    published.append(fold.checkpoint(early=True))
    assert newest(rows_of(*published)) == folded(log)


@given(logs(), st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_after_crashes_at_any_point_the_rows_are_those_of_the_plain_fold(
    log: list[Input], steps: list[tuple[int, bool, bool]]
) -> None:
    """Each step folds some records; then the process may be lost before or after the rows of its checkpoint arrive."""
    committed: int | None = None
    published: list[tuple[Identity, Row]] = []
    fold = _start(committed)
    for size, arrives, survives in steps:
        position = fold.next_offset
        batch = log[position : position + size]
        fold.fold(range(position, position + len(batch)), batch)
        checkpoint = fold.checkpoint(early=arrives)
        if arrives:
            published += rows_of(checkpoint)
        if arrives and survives:
            offset = fold.acknowledge(checkpoint)
            committed = committed if offset is None else offset
        if not survives or not arrives:
            fold = _start(committed)
    fold = _start(committed)
    fold.fold(range(fold.next_offset, len(log)), log[fold.next_offset :])
    published += rows_of(fold.checkpoint(early=True))
    assert newest(published) == folded(log)


def _start(committed: int | None) -> PartitionFold:
    if committed is None:
        return PartitionFold(CONFIG, start=Start.FRESH, offset=0)
    return PartitionFold(CONFIG, start=Start.WARM, offset=committed)


@given(logs(), st.data())
def test_two_who_fold_the_same_log_from_different_commits_publish_equal_rows(
    log: list[Input], data: st.DataObject
) -> None:
    first = PartitionFold(CONFIG, start=Start.FRESH, offset=0)
    commits = []
    for offset, one in enumerate(log):
        first.fold([offset], [one])
        commits.append(first.acknowledge(first.checkpoint(early=False)))
    start = data.draw(st.sampled_from([None, *(commit for commit in commits if commit is not None)]))
    second = _start(start)
    second.fold(range(second.next_offset, len(log)), log[second.next_offset :])
    whole = folded(log)
    for identity, row in newest(rows_of(second.checkpoint(early=True))).items():
        assert whole[identity] == row


def combined(log: Sequence[Input]) -> dict[tuple[str, int], Combined | None]:
    """What a reader sees: the rows of each series and window as one."""
    by_window: dict[tuple[str, int], list[tuple[tuple[int, str, str, int, int], Row]]] = defaultdict(list)
    for (series, start_ms, segment), row in folded(log).items():
        by_window[series, start_ms].append(((start_ms, "t", "e", 0, segment), row))
    return {key: combine(rows) for key, rows in by_window.items()}


@given(
    st.lists(
        st.tuples(st.integers(0, 29_999), st.integers(0, 100)), min_size=1, max_size=20, unique_by=lambda one: one[0]
    ),
    st.sampled_from([Kind.GAUGE, Kind.DELTA, Kind.CUMULATIVE]),
    st.randoms(use_true_random=False),
)
def test_any_order_of_arrival_within_the_lateness_gives_the_same_rollups(
    points: list[tuple[int, int]], kind: Kind, shuffled: "object"
) -> None:
    in_order = [record(seq, T + at, float(value), kind=kind) for seq, (at, value) in enumerate(sorted(points))]
    other = list(in_order)
    shuffled.shuffle(other)  # type: ignore[attr-defined]
    assert combined([tick(T), *in_order]) == combined([tick(T), *other])


SAMPLES = st.builds(
    lambda metric, kind, zone, value, own_ms: {
        "metric": metric,
        "kind": kind,
        "dimensions": {"zone": zone} if zone else {},
        "value": value,
        **({} if own_ms is None else {"at_ms": T + own_ms}),
    },
    st.sampled_from(["a", "b", "1 bad"]),
    st.sampled_from(["gauge", "delta", "cumulative"]),
    st.sampled_from(["", "x", "y"]),
    st.floats(-1e9, 1e9).map(lambda value: round(value, 3)),
    st.sampled_from([None, None, None, 0, 9_999, 15_000, 10**9]),
)
RECORDS = st.lists(st.tuples(st.integers(0, 25_000), st.lists(SAMPLES, min_size=1, max_size=4)), max_size=12)


@given(RECORDS, st.integers(0, 3), st.integers(1, 9), st.sampled_from([1, 3, 200_000]))
def test_records_that_are_remembered_by_their_shape_become_the_rows_of_the_reference(
    records: list[tuple[int, list[dict[str, object]]]], repeats: int, size: int, max_rows: int
) -> None:
    """Each record comes some times, with a new number: what its shape remembers is used then."""
    config = replace(CONFIG, max_rows=max_rows)
    values = [
        json.dumps(
            {"v": 1, "source": "s", "boot": "b", "seq": seq, "at_ms": T + at_ms, "sent_ms": T, "samples": samples}
        ).encode()
        for seq, (at_ms, samples) in enumerate(records * (1 + repeats))
    ]
    fold, decoder = PartitionFold(config, start=Start.FRESH, offset=0), SampleDecoder()
    fold.fold([0], [tick(T)])
    for first in range(0, len(values), size):
        batch = values[first : first + size]
        fold.fold(range(1 + first, 1 + first + len(batch)), decoder.decode_batch(batch))
    plain: list[Input] = [tick(T), *map(decode_samples, values)]
    assert newest(rows_of(fold.checkpoint(early=True))) == folded(plain, config=config)
