"""The auditor: it finds what is wrong between raw rows and rollup rows, and nothing where nothing is."""

import random
from itertools import pairwise
from typing import Any

import pytest

from connect.clickhouse import Store
from engine.audit import Hour, Result
from engine.fold_config import FoldConfig
from sinks.clickhouse.audit import Audit, Auditor, Waiting
from tests.sinks.rollups import HOUR_MS
from tests.sinks.stored import EPOCH, START_MS, Stored, record, tick

SAMPLES = "metrics.samples"
MINUTE_MS, DAY_MS = 60_000, 24 * HOUR_MS
STEP_MS = 4_000
SLOW_MS, FAST_MS = 3_600_000, -3_600_000
CLOCKS = {"web-1": 0, "web-2": 0, "slow": SLOW_MS, "fast": FAST_MS, "near": 2_000, "same": 0}
"""Sources, and how far their clocks are behind."""


@pytest.fixture
def store(cleared: Store) -> Store:
    return cleared


def audits(
    store: Store, *, size_ms: int = HOUR_MS, oldest_ms: int = 0, epoch: str = EPOCH
) -> dict[tuple[str, int], Audit]:
    """The audit of every hour of which there is something, by topic and number of the hour."""
    auditor = Auditor(
        store, size_ms=size_ms, epochs=dict.fromkeys((SAMPLES, "events.user", "events.errors", "logs"), epoch)
    )
    hours = store.rows(
        "SELECT DISTINCT toString(topic), at - at % {size:Int64} FROM ("
        " SELECT topic, toUnixTimestamp64Milli(window_start) AS at FROM watchkeeper_store.rollups"
        " UNION ALL"
        " SELECT topic, arrayJoin([first_ms, last_ms]) AS at FROM watchkeeper_store.arrivals WHERE source != '')",
        {"size": size_ms},
    )
    return {
        (topic, (start_ms - START_MS) // size_ms): auditor.audit(Hour(topic, start_ms), oldest_ms=oldest_ms)
        for topic, start_ms in hours
    }


def assert_equal(store: Store, **options: Any) -> dict[tuple[str, int], Audit]:
    found = audits(store, **options)
    assert found
    assert {key: (one.result, one.reason, one.told) for key, one in found.items() if one.result != Result.EQUAL} == {}
    return found


def busy(numbers: random.Random, sources: dict[str, int], *, first_seq: int = 0) -> list[bytes]:
    """Ten minutes around the end of an hour: repeats near and far, late ones, wrong clocks, times of samples' own."""
    log, seqs, sent = [], dict.fromkeys(sources, first_seq), []
    for now_ms in range(START_MS + 55 * MINUTE_MS, START_MS + 65 * MINUTE_MS, STEP_MS):
        log.append(tick(now_ms))
        for source, behind_ms in sources.items():
            late_ms = numbers.choice([0, 0, 0, 900, 25_000, 2 * HOUR_MS])
            own = [{}, {"at_ms": now_ms - behind_ms - late_ms - 30_000}, {"at_ms": 5}]
            listed = [
                {"metric": numbers.choice(["cpu", "disk"]), "value": numbers.random(), "kind": kind, **one}
                for kind, one in zip(("gauge", "delta", "cumulative"), own, strict=True)
            ]
            if numbers.random() < 0.3:
                sketch = {"sum": 7.5, "min": 1, "max": 3, "zero": 1, "positive": {"1": 2, "40": 3}}
                listed.append({"metric": "size", "kind": "sketch", "sketch": sketch})
            # One source numbers nothing: all of its records have one name.
            seq = 0 if source == "same" else seqs[source]
            sent_ms = now_ms - behind_ms + numbers.randrange(-900, 900)
            one = record(seq, now_ms - behind_ms - late_ms, sent_ms=sent_ms, source=source, samples=listed)
            seqs[source] += 1
            log.append(one)
            sent.append(one)
            if numbers.random() < 0.2:
                log.append(numbers.choice(sent))
        if numbers.random() < 0.1:
            log.append(b"not json")
    return [*log, tick(START_MS + 70 * MINUTE_MS)]


def split(log: list[bytes], numbers: random.Random) -> list[int]:
    """Where the sink was restarted."""
    return sorted({0, *numbers.sample(range(1, len(log)), 4)})


def store_busy(store: Store, seed: int, config: FoldConfig | None = None) -> None:
    """Partitions with all of it, read by sinks that were restarted in between."""
    numbers, stored = random.Random(seed), Stored(store, config)
    names = list(CLOCKS.items())
    for partition, part in enumerate((names[::2], names[1::2])):
        log = busy(numbers, dict(part))
        cuts = [*split(log, numbers), len(log)]
        for first, end in pairwise(cuts):
            stored.raw(log[first:end], partition=partition, first=first)
        stored.rollups(log, partition=partition)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_comes_is_equal_on_both_sides(store: Store, seed: int) -> None:
    store_busy(store, seed)
    found = assert_equal(store)
    assert sum(one.series for one in found.values()) >= 20
    assert sum(one.repeats for one in found.values()) > 0
    assert len(found) >= 4


def test_hours_can_be_shorter(store: Store) -> None:
    store_busy(store, 7)
    assert len(assert_equal(store, size_ms=10 * MINUTE_MS)) > 8


def test_series_that_the_memory_guard_kept_together_are_compared_as_one(store: Store) -> None:
    store_busy(store, 8, FoldConfig(max_rows=5))
    [(overflowed,)] = store.rows("SELECT count() FROM watchkeeper_store.rollups FINAL WHERE source = '__other__'")
    assert overflowed > 10
    assert_equal(store)
    store.command("DELETE FROM watchkeeper_store.rollups WHERE source = '__other__' AND metric = 'cpu'")
    assert {one.result for one in audits(store).values()} >= {Result.DIFFERENT}


def test_events_are_compared_with_the_series_they_are_counted_into(store: Store) -> None:
    at_ms = START_MS + 5_000
    user = {"user": "u", "event": "buy", "service": "shop"}
    events: dict[str, list[dict[str, Any]]] = {
        "events.user": [user, {**user, "duration_s": 0.5}, {**user, "event": 'sell\'s \\ "best"'}],
        "events.errors": [{"service": "s", "type": "T", "severity": severity} for severity in ("error", "warn")],
        "logs": [{"body": "x"}, {"body": "x", "service": "s\ts", "severity": "warn"}],
    }
    stored = Stored(store)
    for topic, listed in events.items():
        log = [record(seq, at_ms, **fields) for seq, fields in enumerate(listed)]
        late = record(77, at_ms - 9 * HOUR_MS, sent_ms=at_ms - 7 * HOUR_MS, **listed[0])
        stored.both([tick(at_ms), *log, log[0], late], topic=topic, partition=1)
    found = assert_equal(store)
    assert {key: one.series for key, one in found.items() if key[1] == 0} == {
        ("events.user", 0): 3,
        ("events.errors", 0): 2,
        ("logs", 0): 2,
    }
    for table in ("events_user", "events_errors", "logs"):
        store.command(f"DELETE FROM watchkeeper_store.{table} WHERE seq = 1")
    results = {key: (one.result, one.mismatches) for key, one in audits(store).items() if key[1] == 0}
    assert results == {
        ("events.user", 0): (Result.DIFFERENT, 2),
        ("events.errors", 0): (Result.DIFFERENT, 1),
        ("logs", 0): (Result.DIFFERENT, 1),
    }


def quiet(count: int = 6) -> list[bytes]:
    """Some records of one source, one each ten seconds."""
    times = range(START_MS + 1_000, START_MS + 1_000 + count * 10_000, 10_000)
    log = [value for seq, now_ms in enumerate(times) for value in (tick(now_ms), record(seq, now_ms))]
    return [*log, tick(START_MS + MINUTE_MS * 5)]


ROW = "watchkeeper_store.rollups"
COLUMNS = "rollup, metric, source, series, topic, epoch, partition, kind, dimensions, n, sum, h_sum, h_xor"
FAULTS: dict[str, tuple[str, str]] = {
    "a rollup row is gone": (f"DELETE FROM {ROW} WHERE sum = 2.25", "1 of 6 values are missing in the rollups"),
    "a raw row is gone": (
        "DELETE FROM watchkeeper_store.samples WHERE seq = 2",
        "1 values are in the rollups that raw rows do not hold (5)",
    ),
    "a rollup row is there twice": (
        f"INSERT INTO {ROW} ({COLUMNS}, window_start, segment, ver)"
        f" SELECT {COLUMNS}, window_start, segment + 1, ver FROM {ROW} FINAL WHERE sum = 2.25",
        "1 values are in the rollups that raw rows do not hold (6)",
    ),
    "a rollup row is of another record": (
        f"ALTER TABLE {ROW} UPDATE h_sum = h_sum + 1, h_xor = h_xor + 1 WHERE sum = 2.25",
        "6 values on both sides, but of different records",
    ),
    "a rollup row is in another window": (
        f"INSERT INTO {ROW} ({COLUMNS}, window_start, segment, ver)"
        f" SELECT {COLUMNS}, window_start + INTERVAL 10 SECOND, segment + 1, ver FROM {ROW} FINAL WHERE sum = 2.25",
        "values of 6 stand in other windows",
    ),
    "a sum is wrong": (
        f"ALTER TABLE {ROW} UPDATE sum = 2.5 WHERE sum = 2.25",
        "the sum of 6 values is 16.5 by raw rows and 16.75 in the rollups",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_found_and_told(store: Store, fault: str) -> None:
    Stored(store).both(quiet())
    assert_equal(store)
    statement, told = FAULTS[fault]
    store.command(statement, settings={"mutations_sync": 2})
    if "another window" in fault:
        store.command(f"DELETE FROM {ROW} WHERE sum = 2.25 AND toSecond(window_start) = 20")
    audit = audits(store)[SAMPLES, 0]
    assert (audit.result, audit.mismatches, audit.series) == (Result.DIFFERENT, 1, 1)
    assert [(one.metric, one.source, one.told()) for one in audit.told] == [("load", "web-1", told)]


def test_a_raw_row_that_was_never_written_is_found_though_nothing_tells_how_it_came(store: Store) -> None:
    log = quiet()
    stored = Stored(store)
    stored.both(log)
    store.command("DELETE FROM watchkeeper_store.samples WHERE seq = 2")
    store.command("DELETE FROM watchkeeper_store.arrivals WHERE seq = 2")
    assert audits(store)[SAMPLES, 0].mismatches == 1


def test_a_late_record_changes_the_hour_on_both_sides(store: Store) -> None:
    log = quiet()
    stored = Stored(store)
    stored.both(log)
    late = [*log, tick(START_MS + 9 * HOUR_MS), record(99, START_MS + 15_000, sent_ms=START_MS + 9 * HOUR_MS)]
    stored.raw(late[len(log) :], first=len(log))
    with pytest.raises(Waiting, match=r"metrics\.samples/0"):
        audits(store)
    stored.rollups(late)
    assert assert_equal(store)[SAMPLES, 0].series == 1


def test_an_hour_waits_for_the_watermarks_of_all_partitions(store: Store) -> None:
    log = quiet()
    stored = Stored(store)
    stored.both(log)
    stored.both(log, partition=1, epoch=EPOCH)
    store.command("DELETE FROM watchkeeper_store.watermarks WHERE partition = 1 AND target = 1")
    with pytest.raises(Waiting, match=r"metrics\.samples/1"):
        audits(store)
    stored.complete(len(log) - 2, partition=1)
    with pytest.raises(Waiting):
        audits(store)
    stored.complete(len(log), partition=1)
    assert_equal(store)


def test_a_new_incarnation_of_the_topic_counts_what_it_is_sent_again(store: Store) -> None:
    log = quiet()
    stored = Stored(store)
    stored.both(log)
    stored.both([tick(START_MS + 1_000, "e2"), *log[1:5:2]], epoch="e2")
    found = assert_equal(store, epoch="e2")
    assert found[SAMPLES, 0].repeats == 2


def test_an_incarnation_that_ended_before_all_was_folded_is_not_judged(store: Store) -> None:
    log = quiet()
    stored = Stored(store)
    stored.raw(log)
    stored.complete(len(log) - 4)
    stored.both([tick(START_MS + 1_000, "e2")], epoch="e2")
    audit = audits(store, epoch="e2")[SAMPLES, 0]
    assert (audit.result, audit.mismatches) == (Result.UNJUDGED, 0)
    assert "made anew" in audit.reason


def test_an_hour_that_was_stored_in_part_before_arrivals_were_noted_is_not_judged(store: Store) -> None:
    log = quiet()
    stored = Stored(store)
    stored.both(log)
    store.command("DELETE FROM watchkeeper_store.arrivals WHERE offset < 5")
    store.command("DELETE FROM watchkeeper_store.samples WHERE seq = 0")
    audit = audits(store)[SAMPLES, 0]
    assert (audit.result, audit.mismatches) == (Result.UNJUDGED, 0)
    assert "before it was noted" in audit.reason


def test_sources_whose_raw_rows_are_not_kept_are_not_judged_and_the_others_are(store: Store) -> None:
    oldest_ms = START_MS - 30 * DAY_MS
    ancient, future = oldest_ms - DAY_MS, 4_200_000_000_000
    log = [*quiet()[:-1], record(1, ancient, source="1970"), record(1, future, source="2103"), quiet()[-1]]
    Stored(store).both(log)
    store.command(f"DELETE FROM watchkeeper_store.samples WHERE at < fromUnixTimestamp64Milli({oldest_ms})")
    audit = audits(store, oldest_ms=oldest_ms)[SAMPLES, 0]
    assert (audit.result, audit.series) == (Result.EQUAL, 3)
    assert audit.reason.startswith("2 series are not judged")


def test_nothing_is_asked_of_an_hour_without_records(store: Store) -> None:
    auditor = Auditor(store, size_ms=HOUR_MS, epochs={})
    assert auditor.audit(Hour(SAMPLES, START_MS), oldest_ms=0) == Audit(
        hour=Hour(SAMPLES, START_MS), result=Result.EQUAL
    )


def test_only_some_series_are_told_but_all_are_counted(store: Store) -> None:
    log = [tick(START_MS), *(record(1, START_MS, source=f"web-{number}") for number in range(20))]
    Stored(store).both(log)
    store.command(f"TRUNCATE TABLE {ROW}")
    audit = audits(store)[SAMPLES, 0]
    assert (audit.mismatches, len(audit.told)) == (20, 5)


def test_a_repeat_whose_times_are_put_right_into_the_next_hour_is_known(store: Store) -> None:
    end_ms = START_MS + HOUR_MS
    sent_ms = (end_ms - SLOW_MS + 1, end_ms - SLOW_MS)
    log = [tick(end_ms), *(record(1, end_ms - SLOW_MS, sent_ms=one, source="slow") for one in sent_ms)]
    Stored(store).both([*log, tick(end_ms + MINUTE_MS)])
    assert assert_equal(store)[SAMPLES, 0].series == 1
    auditor = Auditor(store, size_ms=HOUR_MS, epochs={SAMPLES: EPOCH})
    assert auditor.audit(Hour(SAMPLES, end_ms), oldest_ms=0).mismatches == 0
