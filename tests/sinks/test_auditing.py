"""Rounds of audits: each closed hour once, and again when it changed; what they say in figures and words."""

import logging
from typing import Any

import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from engine.audit import Hour
from schemas.topics import INPUTS
from sinks.clickhouse.auditing import Auditing, Round
from sinks.clickhouse.migrate import Retention
from sinks.clickhouse.tiers import HOURS, MINUTES, recompute
from tests.sinks.rollups import HOUR_MS
from tests.sinks.running import EPOCH as SINK_EPOCH
from tests.sinks.running import pipeline
from tests.sinks.stored import EPOCH, START_MS, Stored, record, tick
from tests.sinks.test_audit import quiet

SAMPLES = "metrics.samples"
NOW_MS = START_MS + 2 * HOUR_MS + 700_000
LATE_MS = START_MS + 2 * HOUR_MS


@pytest.fixture
def store(cleared: Store) -> Store:
    return cleared


def auditing(store: Store, *, size_ms: int = HOUR_MS) -> Auditing:
    """As after a restart: it knows nothing but what is put down."""
    epochs = {topic.name: EPOCH for topic in INPUTS}
    return Auditing(store, size_ms=size_ms, grace_ms=600_000, epochs=epochs, retention=Retention())


def age(store: Store) -> None:
    """What is stored has been so for a while."""
    aged = "ALTER TABLE watchkeeper_store.arrivals UPDATE stored_at = now() - 900 WHERE 1"
    store.command(aged, settings={"mutations_sync": 2})


def tiers(store: Store) -> None:
    for tier in (MINUTES, HOURS):
        recompute(store, tier, START_MS - 9 * HOUR_MS, START_MS + 3 * HOUR_MS)


def of_samples(done: Round) -> list[tuple[int, str, int]]:
    """Number of the hour, result and mismatches of each audit of samples."""
    return [
        ((one.hour.start_ms - START_MS) // HOUR_MS, one.result.value, one.mismatches)
        for one in done.audits
        if one.hour.topic == SAMPLES
    ]


def test_each_closed_hour_is_audited_once_and_what_was_found_is_shown(store: Store) -> None:
    Stored(store).both(quiet())
    tiers(store)
    rounds = auditing(store)
    first = rounds.round(NOW_MS)
    assert of_samples(first) == [(0, "equal", 0), (1, "equal", 0)]
    assert len(first.audits) == 2 * len(INPUTS)
    assert (first.newest_ms, first.mismatches, first.waiting) == (START_MS + 2 * HOUR_MS, 0, {})
    shown = store.rows(
        "SELECT result, series, mismatches, seconds FROM watchkeeper.audits"
        " WHERE topic = 'metrics.samples' ORDER BY hour"
    )
    assert shown == [("equal", 1, 0, 3600.0), ("equal", 0, 0, 3600.0)]
    store.command(
        "ALTER TABLE watchkeeper_store.arrivals UPDATE stored_at = now() - 900 WHERE 1 SETTINGS mutations_sync = 2"
    )
    assert rounds.round(NOW_MS).audits == []
    assert auditing(store).round(NOW_MS).audits == []


def test_what_comes_late_is_audited_again_and_so_is_what_changed_by_itself(store: Store) -> None:
    log, stored = quiet(), Stored(store)
    stored.both(log)
    auditing(store).round(NOW_MS)
    late = [*log, tick(LATE_MS), record(99, START_MS + 15_000, sent_ms=LATE_MS)]
    stored.raw(late[len(log) :], first=len(log))
    waiting = auditing(store).round(NOW_MS)
    assert waiting.waiting == {Hour(SAMPLES, START_MS): "metrics.samples/0"}
    stored.rollups(late)
    assert (0, "equal", 0) in of_samples(auditing(store).round(NOW_MS))
    store.command(
        "ALTER TABLE watchkeeper_store.arrivals UPDATE stored_at = now() - 900 WHERE 1 SETTINGS mutations_sync = 2"
    )
    tiers(store)
    assert of_samples(auditing(store).round(NOW_MS)) == [(0, "equal", 0)]


def test_a_late_record_that_the_fold_lost_is_found(store: Store) -> None:
    log, stored = quiet(), Stored(store)
    stored.both(log)
    rounds = auditing(store)
    rounds.round(NOW_MS)
    stored.raw([tick(LATE_MS), record(99, START_MS + 15_000, sent_ms=LATE_MS)], first=len(log))
    assert rounds.round(NOW_MS).waiting
    stored.complete(len(log) + 2)
    done = rounds.round(NOW_MS)
    assert (of_samples(done)[0], done.fresh, done.mismatches) == ((0, "different", 1), 1, 1)
    again = auditing(store).between(START_MS + 5, START_MS + 6, NOW_MS)
    assert (of_samples(again), again.fresh, again.mismatches) == ([(0, "different", 1)], 0, 1)


def test_hours_before_the_first_record_are_audited_when_something_of_them_came(store: Store) -> None:
    log = [*quiet(), record(99, START_MS - 5 * HOUR_MS, sent_ms=START_MS)]
    Stored(store).both(log)
    assert [hour for hour, *_ in of_samples(auditing(store).round(NOW_MS))] == [-5, 0, 1]


def test_a_range_is_audited_whatever_is_known_of_it_but_open_hours_are_not(store: Store) -> None:
    Stored(store).both(quiet())
    rounds = auditing(store, size_ms=60_000)
    assert [
        one.hour.start_ms for one in rounds.between(START_MS, START_MS + 120_000, NOW_MS).audits[:: len(INPUTS)]
    ] == [
        START_MS,
        START_MS + 60_000,
    ]
    assert rounds.between(NOW_MS - 500_000, NOW_MS + HOUR_MS, NOW_MS).audits == []


def test_of_a_range_before_the_first_record_only_hours_that_have_rows_are_audited(store: Store) -> None:
    log = [*quiet(), record(99, START_MS - 5 * HOUR_MS, sent_ms=START_MS)]
    Stored(store).both(log)
    tiers(store)
    audits = auditing(store).between(START_MS - 90 * HOUR_MS, NOW_MS, NOW_MS).audits
    assert [one.hour.start_ms - START_MS for one in audits[:: len(INPUTS)]] == [-5 * HOUR_MS, 0, HOUR_MS]


def test_nothing_is_due_where_nothing_came(store: Store) -> None:
    done = auditing(store).round(NOW_MS)
    assert (done.audits, done.newest_ms) == ([], None)


@pytest.mark.asyncio
async def test_a_sink_audits_beside_its_work_and_tells_what_differs_with_the_remedy(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    log = [value.replace(EPOCH.encode(), SINK_EPOCH.encode()) for value in quiet()]
    caplog.set_level(logging.ERROR)
    options: dict[str, Any] = {"audit_every_s": 0.2, "audit_grace_s": 0.0}
    async with pipeline(kafka, clickhouse) as topics, topics.sink(**options) as sink:
        Stored(store).rollups(log, epoch=SINK_EPOCH)
        await topics.send(SAMPLES, log)
        await sink.until("audited", lambda: sink.metric("watchkeeper_audit_hours_total", result="equal") >= 1)
        await sink.until("in whole", lambda: store.rows("SELECT max(series) FROM watchkeeper.audits") == [(1,)])
        assert sink.metric("watchkeeper_audit_mismatch_total") == 0
        assert sink.metric("watchkeeper_audit_newest_ms") >= START_MS + HOUR_MS
        store.command("DELETE FROM watchkeeper_store.rollups WHERE sum = 2.25")
        late = [record(99, START_MS + 15_000, sent_ms=START_MS + 60_000)]
        Stored(store).complete(len(log) + 1, epoch=SINK_EPOCH)
        await topics.send(SAMPLES, late)
        await sink.until("found", lambda: sink.metric("watchkeeper_audit_mismatch_total") == 1)
        assert sink.figure("audit_mismatches") == 1
    words = [one.getMessage() for one in caplog.records if "differ" in one.getMessage()]
    assert "load of web-1" in words[0]
    assert "values are missing in the rollups" in words[0]
    assert "watchkeeper ledger --topic metrics.samples --from " in words[0]
