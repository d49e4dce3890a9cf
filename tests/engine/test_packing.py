"""Rows on their way into columns: nothing is lost in narrow integers, and no message is too long."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import checkpoints
from engine.directory import Directory
from engine.packing import packed
from schemas import reference
from schemas.columns import Columns, Sketches, Values
from schemas.records import MAX_INT64
from schemas.rollup_wire import decode_message
from schemas.rollups import RollupRows
from schemas.samples import Kind
from schemas.series import Decoded, Point, Series, series_of
from schemas.wire import Input, encode
from tests.engine.logs import CONFIG, fresh, newest, record, rows_of, tick

T = 1_000_000_000_000
SIZES = st.integers(0, 300) | st.sampled_from([2**16, 2**32 - 1, 2**32, MAX_INT64])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
BUCKETS = st.dictionaries(
    st.integers(-99_999, 99_999) | st.integers(-130, 130), st.integers(1, 255) | st.integers(1, 2**40), max_size=4
)
SERIES = [
    series_of(metric, source, {"zone": zone} if zone else {}, kind)
    for metric, kind in (("a", Kind.GAUGE), ("b", Kind.GAUGE), ("b", Kind.CUMULATIVE))
    for source in ("web-1", "wéb-2", "web-3")
    for zone in ("", "x")
]
ROWS = st.fixed_dictionaries(
    {
        **dict.fromkeys(("ver", "n", "zero"), SIZES),
        **dict.fromkeys(("sum", "min", "max", "first", "last", "increase"), NUMBERS),
        **dict.fromkeys(("first_ms", "last_ms"), st.integers(0, 9_999)),
        **dict.fromkeys(("h_sum", "h_xor"), st.integers(0, 2**64 - 1)),
        **dict.fromkeys(("positive", "negative"), BUCKETS),
        "start_ms": st.integers(0, 300).map(lambda windows: T + windows * 10_000),
        "series": st.sampled_from(SERIES),
    }
)


def values_of(rows: list[dict[str, Any]]) -> Values:
    """Rows as arrays, times of a row counted from 1970."""

    def of(name: str, kind: str = "i8") -> Any:
        return np.array([row[name] for row in rows], kind)

    def sketches(side: str) -> Sketches:
        counted = [pair for row in rows for pair in sorted(row[side].items())]
        buckets, counts = (np.array([pair[at] for pair in counted], np.int64) for at in (0, 1))
        return Sketches(np.array([len(row[side]) for row in rows], np.int64), buckets, counts)

    return Values(
        start_ms=of("start_ms"),
        ver=of("ver"),
        n=of("n"),
        sum=of("sum", "f8"),
        min=of("min", "f8"),
        max=of("max", "f8"),
        first=of("first", "f8"),
        first_ms=of("start_ms") + of("first_ms"),
        last=of("last", "f8"),
        last_ms=of("start_ms") + of("last_ms"),
        increase=of("increase", "f8"),
        h_sum=of("h_sum", "u8"),
        h_xor=of("h_xor", "u8"),
        zero=of("zero"),
        positive=sketches("positive"),
        negative=sketches("negative"),
    )


def said(row: dict[str, Any]) -> tuple[Any, ...]:
    """A row as the topic has it, floats to the last bit."""
    series: Series = row["series"]
    floats = [row[name].hex() for name in ("sum", "min", "max", "first", "last", "increase")]
    times = [row["start_ms"], row["start_ms"] + row["first_ms"], row["start_ms"] + row["last_ms"]]
    hashes = [f"{row[name]:016x}" for name in ("h_sum", "h_xor")]
    return (series.metric, series.hex, series.source, series.labels, series.kind, *floats, *times, *hashes,
            row["ver"], row["n"], row["zero"], row["positive"], row["negative"])  # fmt: skip


def read(record: RollupRows) -> list[tuple[Any, ...]]:
    """The same of what the plain reader found."""
    return [
        (
            *(record.metric, row.series, row.source, row.dimensions, row.kind),
            *(getattr(row, name).hex() for name in ("sum", "min", "max", "first", "last", "increase")),
            *(row.start_ms, row.first_ms, row.last_ms, row.h_sum, row.h_xor, row.ver, row.n, row.zero),
            {int(bucket): count for bucket, count in row.positive.items()},
            {int(bucket): count for bucket, count in row.negative.items()},
        )
        for row in record.rows
    ]


@given(st.lists(ROWS, min_size=1, max_size=8), st.sets(st.integers(1, 7)))
@settings(max_examples=150)
def test_what_is_packed_is_read_again_to_the_last_bit(rows: list[dict[str, Any]], wanted: set[int]) -> None:
    rows.sort(key=lambda row: (row["series"].metric, row["series"].kind, row["start_ms"]))
    groups = [(row["series"].metric, row["series"].kind) for row in rows]
    ends = {at for at in range(1, len(rows)) if groups[at] != groups[at - 1] or at in wanted}
    directory = Directory()
    about = directory.about([row["series"] for row in rows])

    found = []
    for columns in packed(CONFIG, 7, directory, about, values_of(rows), list(pairwise(sorted({0, *ends, len(rows)})))):
        plain = reference.decode_rollups(encode(columns))
        assert isinstance(plain, RollupRows)
        assert plain.segment == 7
        found += read(plain)
    assert found == [said(row) for row in rows]


def messages(log: list[Input]) -> list[Columns]:
    """The messages of a whole log; each row stands in them once."""
    fold = fresh()
    fold.fold(range(len(log)), log)
    checkpoint = fold.checkpoint(early=True)
    rows = rows_of(checkpoint)
    assert len(rows) == len(newest(rows)) == checkpoint.rows
    assert all(len(value) <= checkpoints.MAX_MESSAGE_BYTES for _, value in checkpoint.messages)
    decoded = [decode_message(value) for _, value in checkpoint.messages]
    return [one for one in decoded if isinstance(one, Columns)]


def test_a_backfill_of_one_series_is_one_message() -> None:
    (one,) = messages([tick(T), *(record(seq, T - seq * 10_000, sent_ms=T) for seq in range(300))])

    assert (one.sources, one.dimensions, len(one.series) // 8) == (["s"], [{}], 300)
    assert one.source_index == one.dimensions_index == b""


def test_metrics_and_kinds_are_apart_and_no_message_has_too_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "MAX_MESSAGE_ROWS", 3)
    named = [("a", {}, Kind.GAUGE), ("b", {}, Kind.DELTA), ("b", {"zone": "x"}, Kind.GAUGE)]
    series = [series_of(metric, "s", labels, kind) for metric, labels, kind in named]
    log: list[Input] = [
        Decoded("s", "b", number, T + number * 10_000, T + number * 10_000, [Point(one, 1.0) for one in series])
        for number in range(7)
    ]

    cut = [(one.metric, one.kind, len(one.series) // 8) for one in messages([tick(T), *log])]
    assert sorted(cut) == sorted((metric, kind.value, rows) for metric, _, kind in named for rows in (1, 3, 3))


def test_long_names_and_wide_sketches_make_more_messages_and_no_longer_ones() -> None:
    """Control characters take six bytes each in JSON."""
    points = [
        Point(series_of("m", "s", {f"{at:0128}": "\x01" * 256 for at in range(number, number + 32)}, Kind.GAUGE), 1.0)
        for number in range(60)
    ]

    found = messages([tick(T), Decoded("s", "b", 1, T, T, points)])
    assert sum(len(one.series) // 8 for one in found) == 60
    assert len(found) > 3


def test_series_that_were_forgotten_are_learnt_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.directory.MAX_SERIES", 2)
    directory = Directory()
    for some in (SERIES[:3], SERIES[3:6], SERIES[:1], SERIES[2:4]):
        about = directory.about(some)
        assert [directory.sources[place] for place in about["source"].tolist()] == [one.source for one in some]
        assert [directory.dimensions[place] for place in about["dimensions"].tolist()] == [one.labels for one in some]
        assert about["series"].tolist() == [one.fingerprint for one in some]
    assert len(directory.sources) < 3
