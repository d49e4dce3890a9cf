"""Replays of a stored past: equal to what was live where nothing is changed, whatever they are read from."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from engine.parts import VersionedRule
from schemas.alerts import Transition
from schemas.errors import BadSettings
from sinks.clickhouse.migrate import migrate
from tests.sinks.running import pipeline
from tests.sinks.stored import START_MS
from tests.watchkeeper.replays import CONFIG, LOAD, SECONDS, Past, chosen, live_transitions, logs
from watchkeeper.replay import Outcome, ReplayConfig
from watchkeeper.replay import replay as replayed

pytestmark = pytest.mark.asyncio
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouseConfig) -> Iterator[Store]:
    """With our tables, which are made once."""
    store = Store(clickhouse)
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def past(store: Store) -> Past:
    """Nothing was yet."""
    for name in ("rollups", "arrivals", "samples", "events_errors", "transitions", "control", "watermarks"):
        store.command(f"TRUNCATE TABLE watchkeeper_store.{name}")
    store.command("DROP DATABASE IF EXISTS watchkeeper_replay")
    return Past(store)


async def done(past: Past, config: ReplayConfig) -> Outcome:
    return await replayed(config, past.store, lambda _: None)


async def test_unchanged_a_replay_from_raw_rows_gives_the_live_rollups_in_every_column(past: Past) -> None:
    past.inputs(logs())

    outcome = await done(past, chosen())
    assert outcome.log == "raw rows in ClickHouse"
    assert outcome.windows.equal > 400
    assert outcome.windows[1:] == (0, 0, 0)


async def test_so_does_a_part_of_the_past(past: Past) -> None:
    past.inputs(logs())

    for from_s, to_s in ((190, 330), (312, 324), (360, 1800)):
        from_ms, to_ms = START_MS + from_s * 1000, START_MS + to_s * 1000
        outcome = await done(past, chosen(from_ms=from_ms, to_ms=to_ms, replace=True))
        assert outcome.windows.equal > 10
        assert outcome.windows[1:] == (0, 0, 0)
        assert outcome.whole_to_ms == min(to_ms + -to_ms % 30_000, START_MS + (SECONDS - 1) // 30 * 30_000)


async def test_of_all_time_only_that_is_gone_through_in_which_something_came(past: Past) -> None:
    past.inputs(logs(seconds=120))
    done_ms: list[float] = []
    outcome = await replayed(chosen(from_ms=0, to_ms=4_000_000_000_000), past.store, done_ms.append)
    assert outcome.windows.equal > 0
    assert outcome.windows[1:] == (0, 0, 0)
    assert max(done_ms) < 600_000


async def test_what_differs_from_the_live_rollups_is_counted(past: Past) -> None:
    past.inputs(logs())
    whole = (await done(past, chosen())).windows.equal
    changed = (
        "INSERT INTO watchkeeper_store.rollups SELECT * REPLACE (ver + 1 AS ver, sum + 1e-9 AS sum)"
        " FROM watchkeeper_store.rollups FINAL WHERE metric = 'bytes' AND window_start = {at:DateTime64(3, 'UTC')}"
    )
    past.store.command(changed, parameters={"at": (START_MS + 100_000) / 1000})
    lost = "ALTER TABLE watchkeeper_store.rollups DELETE WHERE metric = 'requests' AND source = 'web-1'"
    past.store.command(lost, settings={"mutations_sync": 1})
    some = "(SELECT * FROM watchkeeper_store.rollups FINAL WHERE metric = 'bytes' AND source = 'web-0')"
    past.store.command(f"INSERT INTO watchkeeper_store.rollups SELECT * REPLACE ('other' AS metric) FROM {some}")

    windows = (await done(past, chosen(replace=True))).windows
    assert (windows.equal + windows.different + windows.added, windows.different) == (whole, 2)
    assert windows.added > 40
    assert windows.missing > 40


async def test_two_replays_give_the_same_bytes_and_leave_the_live_tables_as_they_are(past: Past) -> None:
    past.inputs(logs())
    past.rule(LOAD, name=LOAD.id, version=1, from_ms=START_MS)
    live = ["watchkeeper_store.rollups", "watchkeeper_store.transitions", "watchkeeper_store.rollups_1m"]
    before = [past.bytes_of(table) for table in live]

    await done(past, chosen(name="one"))
    await done(past, chosen(name="two", made_ms=5))
    for kind in ("rollups", "transitions"):
        first, second = (past.bytes_of(f"watchkeeper_replay.{name}_{kind}") for name in ("one", "two"))
        assert first == second != b""
    assert [past.bytes_of(table) for table in live] == before


async def test_a_topic_that_was_made_anew_is_replayed_over_both_incarnations(past: Past) -> None:
    past.inputs(logs(1, seconds=300))
    past.inputs(logs(2, seconds=300, start_ms=START_MS + 400_000, epoch="e2"), epoch="e2")

    outcome = await done(past, chosen(to_ms=START_MS + 700_000))
    assert outcome.windows.equal > 400
    assert outcome.windows[1:] == (0, 0, 0)


async def test_other_windows_hold_the_same_values(past: Past) -> None:
    past.inputs(logs())

    for window_ms in (60_000, 15_000):
        fold = replace(CONFIG, rollup="other", window_ms=window_ms, lateness_ms=20_000)
        outcome = await done(past, chosen(fold=fold, replace=True))
        assert outcome.windows.equal > 60
        assert outcome.windows[1:] == (0, 0, 0)
        starts = "SELECT DISTINCT toUnixTimestamp64Milli(window_start) % 60000 FROM watchkeeper_replay.again_rollups"
        assert {start for (start,) in past.store.rows(starts)} == set(range(0, 60_000, window_ms))


async def test_distributions_are_replayed_from_kafka_and_never_from_their_means(
    past: Past, kafka: KafkaConfig, clickhouse: ClickHouseConfig
) -> None:
    found = logs(sketches=True)
    past.inputs(found)
    with pytest.raises(BadSettings, match=r"do not tell the .* distributions of this range: choose a range that Kafka"):
        await done(past, chosen())

    async with pipeline(kafka, clickhouse) as topics:
        for (topic, partition), values in found.items():
            await topics.send(topic, values, partition=partition)
        outcome = await done(past, chosen(kafka=kafka, from_ms=START_MS + 100_000))
        assert outcome.log == "Kafka"
        assert outcome.windows.equal > 200
        assert outcome.windows[1:] == (0, 0, 0)
        with pytest.raises(BadSettings, match="no longer has all its records: choose a later --from, or --source"):
            await done(past, chosen(kafka=kafka, epoch="e7", source="kafka", replace=True))


async def test_a_range_without_records_or_a_name_that_is_taken_is_refused_with_the_remedy(past: Past) -> None:
    past.inputs(logs(seconds=120))
    with pytest.raises(BadSettings, match=r"no input record is known .*: choose another --from or --to"):
        await done(past, chosen(from_ms=START_MS - 7_200_000, to_ms=START_MS - 6_000_000))
    with pytest.raises(BadSettings, match="--to must be later than --from"):
        await done(past, chosen(to_ms=START_MS))
    await done(past, chosen())
    with pytest.raises(BadSettings, match="there is a replay again: take another --name, or --replace"):
        await done(past, chosen())


V1, V2 = LOAD, LOAD.model_copy(update={"warning": 60.0, "good_windows": 1})


def with_rules(past: Past) -> list[Transition]:
    """A past in which a rule was changed and another was removed; what was decided in it."""
    found, change_ms = logs(), START_MS + 210_000
    other = LOAD.model_copy(update={"id": "other", "warning": 40.0})
    past.inputs(found)
    past.rule(V1, name=V1.id, version=1, from_ms=START_MS)
    past.rule(V2, name=V2.id, version=2, from_ms=change_ms)
    past.rule(other, name="other", version=1, from_ms=START_MS)
    past.rule(None, name="other", version=2, from_ms=change_ms)
    first = {V1.id: VersionedRule(1, V1), "other": VersionedRule(1, other)}
    decided = live_transitions(found, [(START_MS, first), (change_ms, {V2.id: VersionedRule(2, V2)})])
    past.decided(decided)
    return decided


async def test_the_rules_then_in_force_decide_the_same_transitions_with_the_same_ids(past: Past) -> None:
    decided = with_rules(past)

    for from_s in (0, 210, 330):
        from_ms = START_MS + from_s * 1000
        outcome = await done(past, chosen(from_ms=from_ms, replace=True))
        behind = [one for one in decided if from_ms - CONFIG.lateness_ms < one.at_ms <= outcome.decided_to_ms]
        assert len(behind) > 4
        assert outcome.transitions == (len(behind), 0, 0)
        more = "SELECT * FROM watchkeeper_replay.again_transitions EXCEPT SELECT * FROM watchkeeper_store.transitions"
        assert past.store.rows(more) == []


async def test_ranges_that_follow_each_other_decide_each_transition_once(past: Past) -> None:
    decided = with_rules(past)

    outcomes = [
        await done(past, chosen(from_ms=START_MS + from_s * 1000, to_ms=START_MS + to_s * 1000, replace=True))
        for from_s, to_s in ((0, 210), (210, 330), (330, 1800))
    ]
    at_ms = [one.at_ms for one in decided if one.at_ms <= outcomes[-1].decided_to_ms]
    assert [one.transitions[1:] for one in outcomes] == [(0, 0)] * 3
    assert sum(one.transitions.equal for one in outcomes) == len(at_ms)


async def test_a_file_of_rules_shows_what_they_would_have_decided(past: Past) -> None:
    decided = with_rules(past)
    quiet = V1.model_copy(update={"warning": None, "critical": 1e6})

    outcome = await done(past, chosen(rules=[quiet]))
    assert outcome.transitions == (0, len([one for one in decided if one.at_ms <= outcome.decided_to_ms]), 0)
    outcome = await done(past, chosen(rules=[V1], replace=True))
    assert outcome.transitions.equal > 0
    assert outcome.transitions.live > 0
