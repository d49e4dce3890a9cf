"""The sink: what stands on the topics is in ClickHouse, once, whatever happens in between."""

import asyncio
import json
import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from schemas.deadletters import DeadLetter
from schemas.errors import BadSettings, NotDrained, StoreRefused, StoreUnavailable
from schemas.rollup_wire import Mark
from schemas.wire import Tick, encode
from sinks.clickhouse import migrate as migrations
from sinks.clickhouse.migrate import migrate
from tests.conftest import embedded_clickhouse
from tests.sinks.rollups import BASE_MS, HOUR_MS, Placed, coarser, either_form, minutes_of, random_rows, windows_of
from tests.sinks.running import EPOCH, Pipeline, pipeline
from tests.sinks.test_metrics_views import check

DAY_MS = 86_400_000
VIEWS = (
    *("metrics_10s", "metrics_1m", "metrics_1h", "metrics_1d", "monitoring_metrics", "monitoring_alerts", "logs"),
    *("monitoring_thresholds", "alert_transitions", "events_user", "events_errors", "deadletters"),
)

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


def envelope(seq: int, **fields: Any) -> bytes:
    """A record of an input topic."""
    record = {"v": 1, "source": "web-1", "boot": "b", "seq": seq, "at_ms": BASE_MS + seq, "sent_ms": BASE_MS + seq}
    return json.dumps({**record, **fields}).encode()


def samples(seq: int, count: int = 2) -> bytes:
    listed = [{"metric": f"m{index}", "value": seq + index / 4, "dimensions": {"k": "v"}} for index in range(count)]
    return envelope(seq, samples=listed)


def transition(number: int, **fields: Any) -> bytes:
    """The `number`-th change of one alert."""
    states = ["ok", "pending", "firing", "recovering", "ok"]
    one = {
        **{
            "v": 1,
            "id": f"{number:032x}",
            "alert": "a" * 16,
            "rule": "busy",
            "rule_version": 1,
            "entity": {"source": "x"},
        },
        **{"metric": "m0", "episode_ms": BASE_MS, "at_ms": BASE_MS + number * 10_000, "from_state": states[number]},
        **{"to_state": states[number + 1], "severity": "critical", "outcome": "value", "value": 0.5, "threshold": 0.9},
    }
    return json.dumps({**one, **fields}).encode()


def count(store: Store, table: str) -> int:
    return int(store.rows(f"SELECT count() FROM {table}")[0][0])


def contents(store: Store) -> dict[str, bytes]:
    """Every byte of every view."""
    return {
        view: b"".join(store.raw(f"SELECT * FROM watchkeeper.{view} ORDER BY ALL", "TSVWithNamesAndTypes"))
        for view in VIEWS
    }


async def send_rollups(topics: Pipeline, placed: list[Placed]) -> None:
    for partition in (0, 1):
        await topics.send("metrics.rollups", either_form(placed[partition::2]), partition=partition)


async def send_everything(topics: Pipeline, placed: list[Placed]) -> int:
    """Records of every topic; how many rows they are."""
    await send_rollups(topics, placed)
    await topics.send("metrics.rollups", [encode(Mark("metrics.samples", "e", 0, BASE_MS, 7))])
    await topics.send("metrics.samples", [encode(Tick(1, "e", BASE_MS)), *(samples(seq) for seq in range(20))])
    await topics.send("events.user", [envelope(1, user="u", event="buy", service="shop", duration_s=0.5)])
    await topics.send("events.errors", [envelope(2, service="shop", type="ValueError", message="no\tname")])
    await topics.send("logs", [envelope(3, body="line\nof text", severity="warn")])
    await topics.send("alerts", [transition(number) for number in range(4)], key=b"a" * 16)
    rule = {"id": "busy", "metric": "m0", "kind": "threshold", "warning": 0.8, "critical": 0.9, "for_ms": 60_000}
    control = {"v": 1, "type": "rule", "id": "rule/busy", "version": 1, "at_ms": BASE_MS, "by": "ada@ops", "rule": rule}
    applied = {"v": 1, "type": "applied", "id": "applied/busy", "version": 1, "from_ms": BASE_MS}
    await topics.send("control", [json.dumps(one).encode() for one in (control, applied)], key=b"rule/busy")
    letter = {
        "v": 1,
        "topic": "logs",
        "epoch": "e",
        "partition": 0,
        "offset": 9,
        "value_bytes": 1,
        "refused_by": "process",
    }
    faults = [{"reason": "not_json", "detail": "x"}]
    await topics.send("deadletters", [json.dumps({**letter, "faults": faults, "value_base64": "/w=="}).encode()])
    return len(placed) + 40 + 3 + 4 + 2 + 1


async def test_rollup_rows_land_and_are_what_combine_makes_of_them_in_every_tier(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    placed = random_rows(1)
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        await send_rollups(topics, placed)
        await sink.until("rows", lambda: sink.figure("rows_total") == len(placed))
        assert sink.figure("newest_rollup_ms") == max(one.row.start_ms for one in placed) + 10_000
        assert sink.figure("lag_records") == 0
    hours = coarser(minutes_of(placed), HOUR_MS)
    check(store, "metrics_10s", windows_of(placed))
    check(store, "metrics_1m", minutes_of(placed))
    check(store, "metrics_1h", hours)
    check(store, "metrics_1d", coarser(hours, DAY_MS))


async def test_a_replay_of_every_topic_from_its_first_record_changes_no_byte_of_any_view(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    async with pipeline(kafka, clickhouse) as topics:
        async with topics.sink() as sink:
            rows = await send_everything(topics, random_rows(2))
            await sink.until("rows", lambda: sink.figure("rows_total") == rows)
        before = contents(store)
        assert all(len(table.splitlines()) > 2 for table in before.values()), before
        async with topics.sink(group="another-group") as sink:
            await sink.until("the same rows again", lambda: sink.figure("rows_total") == rows)
        assert contents(store) == before


async def test_what_was_inserted_but_not_committed_is_read_again_and_is_there_once(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    placed = random_rows(3)
    async with pipeline(kafka, clickhouse) as topics:
        async with topics.sink() as killed:
            rows = await send_everything(topics, placed)
            await killed.until("rows", lambda: killed.figure("rows_total") == rows)
            await killed.kill()
        async with topics.sink(session_timeout_s=6.0) as sink:
            # Offsets of rollups are committed with the tiers, which were not computed yet.
            await sink.until("rollups again", lambda: sink.figure("rows_total") >= len(placed))
            await sink.until("all", lambda: sink.figure("lag_records") == 0)
    check(store, "metrics_10s", windows_of(placed))
    check(store, "metrics_1m", minutes_of(placed))
    assert count(store, "watchkeeper.monitoring_metrics") == 40
    assert count(store, "watchkeeper.alert_transitions") == 4


async def test_a_committed_record_is_not_read_again(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    async with pipeline(kafka, clickhouse) as topics:
        async with topics.sink() as first:
            rows = await send_everything(topics, random_rows(4))
            await first.until("rows", lambda: first.figure("rows_total") == rows)
        async with topics.sink() as second:
            await topics.send("metrics.samples", [samples(100, count=3)], partition=1)
            await second.until("only the new rows", lambda: second.figure("rows_total") == 3)
            await topics.send("alerts", [transition(0, id="f" * 32)])
            await second.until("and the next", lambda: second.figure("rows_total") == 4)


async def test_rollups_count_only_after_the_tiers_were_computed(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    placed = random_rows(5)
    async with pipeline(kafka, clickhouse) as topics:
        async with topics.sink(minutes_s=0.2, tiers_s=0.2) as sink:
            await send_rollups(topics, placed)
            await sink.until("rows", lambda: sink.figure("rows_total") == len(placed))
            await sink.until("days", lambda: count(store, "watchkeeper.metrics_1d") > 0)
            commits = sink.metric("watchkeeper_sink_commits_total")
            await sink.until("a commit", lambda: sink.metric("watchkeeper_sink_commits_total") > commits)
            await sink.kill()
        async with topics.sink() as sink:
            await topics.send("alerts", [transition(0)])
            await sink.until("only the new row", lambda: sink.figure("rows_total") == 1)


async def test_a_duplicate_delivery_of_a_record_is_there_once(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        await topics.send("metrics.samples", [samples(1), samples(2), samples(1)])
        await sink.until("rows", lambda: sink.figure("rows_total") == 6)
        assert count(store, "watchkeeper.monitoring_metrics") == 4


async def test_while_clickhouse_is_away_reading_is_paused_and_it_goes_on_by_itself(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    service = embedded_clickhouse(tmp_path)
    service.start()
    config = ClickHouseConfig(port=service.port, timeout_s=5.0)
    store = Store(config)
    try:
        async with pipeline(kafka, config) as topics, topics.sink() as sink:
            await topics.send("logs", [encode(Tick(1, EPOCH, BASE_MS))])
            await topics.send("metrics.samples", [samples(0)])
            await sink.until("the first rows", lambda: sink.figure("rows_total") == 2)
            await sink.until("all was read", lambda: sink.figure("lag_records") == 0 and sink.figure("lag_s") == 0)
            service.stop(5.0)
            await topics.send("metrics.samples", [samples(1)])
            await sink.until("paused", lambda: sink.figure("paused"))
            assert sink.figure("note") == "waits for ClickHouse"
            before_bytes = psutil.Process().memory_info().rss
            for first in range(0, 1_000, 50):
                bodies = (os.urandom(30_000).hex() for _ in range(50))
                await topics.send("logs", [envelope(first + n, body=body) for n, body in enumerate(bodies)])
            await sink.until("a second failure", lambda: failures(sink, "transient") >= 2)
            # 60 MB stand on the broker. Here is no more than was fetched ahead: a megabyte of each partition.
            assert psutil.Process().memory_info().rss - before_bytes < 25_000_000
            await sink.until("a lag of all that was not taken", lambda: sink.figure("lag_records") == 1_000)
            await sink.until("ever further behind", lambda: sink.figure("falling_behind") and sink.figure("lag_s") > 2)
            assert sink.metric("watchkeeper_sink_catch_up_seconds") == math.inf
            assert sink.metric("watchkeeper_sink_lag_seconds") > 2
            assert not sink.task.done()
            service.start()
            await sink.until("every row", lambda: count(store, "watchkeeper.logs") == 1_000, 60.0)
            assert count(store, "watchkeeper.monitoring_metrics") == 4
            assert not sink.figure("paused")
            await sink.until("all was read", lambda: sink.figure("catch_up_s") == 0 and sink.figure("lag_records") == 0)
            assert not sink.figure("falling_behind")
            assert sink.metric("watchkeeper_sink_paused_seconds_total") > 0
            assert failures(sink, "permanent") == 0
    finally:
        store.close()
        service.stop(5.0)


def _rollups_reach(store: Store, number: int) -> bool:
    return count(store, "watchkeeper_store.rollups") >= number


def failures(sink: Any, family: str) -> float:
    found: float = sink.metric("watchkeeper_sink_failures_total", family=family)
    return found


async def test_a_sink_that_never_saw_clickhouse_can_still_be_stopped(kafka: KafkaConfig) -> None:
    nowhere = ClickHouseConfig(port=1, timeout_s=1.0)
    async with pipeline(kafka, nowhere) as topics, topics.sink() as sink:
        await sink.until("paused", lambda: sink.figure("paused"))


async def test_stopping_takes_no_longer_than_its_deadline_while_clickhouse_is_away(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    service = embedded_clickhouse(tmp_path)
    service.start()
    config = ClickHouseConfig(port=service.port, timeout_s=5.0)
    async with pipeline(kafka, config) as topics:
        async with topics.sink(deadline_s=1.0, drain=True) as sink:
            await sink.until("assigned", lambda: sink.figure("assigned"))
            service.stop(5.0)
            await topics.send("metrics.samples", [samples(1)])
            await sink.until("paused", lambda: sink.figure("paused"))
            with pytest.raises(NotDrained):
                async with asyncio.timeout(5.0):
                    await sink.stop()
        service.start()
        store = Store(config)
        async with topics.sink(drain=True):
            pass
        assert count(store, "watchkeeper.monitoring_metrics") == 2
        store.close()
        service.stop(5.0)


async def test_with_drain_everything_that_was_published_is_stored_before_it_ends(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    placed = random_rows(6)
    async with pipeline(kafka, clickhouse) as topics:
        await topics.send("metrics.samples", [samples(seq) for seq in range(5_000)])
        await send_everything(topics, placed)
        async with topics.sink(drain=True, deadline_s=30.0):
            pass
    assert count(store, "watchkeeper.monitoring_metrics") == 10_000
    check(store, "metrics_10s", windows_of(placed))
    check(store, "metrics_1m", minutes_of(placed))
    assert count(store, "watchkeeper.alert_transitions") == 4


async def test_a_rollup_row_is_visible_half_a_second_after_it_was_published(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    clock = asyncio.get_running_loop().time
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        await sink.until("assigned", lambda: sink.figure("assigned"))
        took: list[float] = []
        for number, one in enumerate(random_rows(7, windows=3, versions=1)[:12], start=1):
            sent_s = clock()
            await topics.send("metrics.rollups", [one.columns()], partition=number % 2)
            await sink.until("the row", partial(_rollups_reach, store, number))
            took.append(clock() - sent_s)
        assert sorted(took)[len(took) // 2] < 0.5, took


async def test_records_that_only_the_sink_reads_become_dead_letters_and_stop_nothing(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    placed = random_rows(8, windows=2)
    bad = [b"not json", b'{"v":1}', None, b"[" * 100_000, placed[0].message().replace(b'"h_sum":"', b'"h_sum":"x')]
    bad += [placed[0].columns().replace(b'"h_sum":"', b'"h_sum":"' + more) for more in (b"x", b"AAAA", b"AAAAAAAAAAA=")]
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        await topics.send("metrics.rollups", bad, key=b"k")
        await send_rollups(topics, placed)
        await topics.send("alerts", [b"{}", transition(0)], key=b"k")
        await topics.send("control", [b"{}"])
        await topics.send("alerts.state", [b"{}"])
        await sink.until("letters", lambda: count(store, "watchkeeper.deadletters") == len(bad) + 3)
        await sink.until("rows", lambda: count(store, "watchkeeper.alert_transitions") == 1)
        check(store, "metrics_10s", windows_of(placed))
        letters = [DeadLetter.model_validate_json(value or b"") for _, value in await topics.log("deadletters")]
    keys = {(one.topic, one.partition, one.offset) for one in letters}
    assert keys >= {("metrics.rollups", 0, offset) for offset in range(len(bad))} | {
        ("alerts", 0, 0),
        ("control", 0, 0),
    }
    assert {one.refused_by for one in letters} == {"sink"}
    assert {one.epoch for one in letters} == {"test-epoch"}
    reasons = {one.offset: one.faults[0].reason.value for one in letters if one.topic == "metrics.rollups"}
    shapes = dict.fromkeys(range(4, len(bad)), "bad_shape")
    assert reasons == {0: "not_json", 1: "bad_shape", 2: "null_value", 3: "too_deep", **shapes}


async def test_a_row_that_clickhouse_refuses_becomes_a_dead_letter_and_the_others_of_its_insert_are_stored(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    placed = random_rows(9, windows=4)
    many = placed[0]._replace(row=msgspec.structs.replace(placed[0].row, n=77_777))
    poison = [
        many.columns(),
        many.message(),
        placed[1].columns().replace(b'"start_ms":', b'"start_ms":9999'),
        placed[1].message().replace(b'"start_ms":', b'"start_ms":9999'),
    ]
    store.command("ALTER TABLE watchkeeper_store.rollups ADD CONSTRAINT few CHECK n < 70000")
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        await topics.send(
            "metrics.rollups",
            [*either_form(placed[:40]), *poison, *either_form(placed[40:])],
        )
        await sink.until("letters", lambda: count(store, "watchkeeper.deadletters") == len(poison))
        await sink.until("rows", lambda: sink.figure("rows_total") >= len(placed))
        check(store, "metrics_10s", windows_of(placed))
        assert failures(sink, "permanent") > 0
        assert not sink.figure("paused")
    found = store.rows("SELECT offset, reasons FROM watchkeeper.deadletters ORDER BY offset")
    assert found == [(40 + number, ["bad_shape"]) for number in range(len(poison))]


async def test_bad_records_of_input_topics_are_counted_and_left_to_the_rollup_agent(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    bad = [b"not json", None, b"[" * 100_000, b"x" * 1_500_000, samples(1).replace(b"BASE", b""), b'{"v":2}']
    lone = envelope(7, user="u", event="\ud800", service="s").replace(b"\\\\ud800", b"\\ud800")
    late = envelope(8, body="from 2099", at_ms=BASE_MS + 70_000)
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        await topics.send("metrics.samples", bad, key=b"k")
        await topics.send("events.user", [lone, envelope(1, user="u", event="e", service="s")])
        await topics.send("logs", [late, envelope(2, body="fine")])
        await sink.until("the good ones", lambda: count(store, "watchkeeper.logs") == 1)
        await sink.until("the event", lambda: count(store, "watchkeeper.events_user") == 1)
        await sink.until("samples", lambda: count(store, "watchkeeper.monitoring_metrics") == 2)
        await sink.until("counted", lambda: sink.metric("watchkeeper_sink_refused_total", topic="metrics.samples") == 5)
        assert sink.metric("watchkeeper_sink_refused_total", topic="logs") == 1
        assert sink.metric("watchkeeper_sink_refused_total", topic="events.user") == 1
        assert await topics.log("deadletters") == []


async def test_times_of_many_days_in_one_insert_are_stored(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    def of_day(day: int) -> bytes:
        at_ms = BASE_MS - day * DAY_MS
        return envelope(day, samples=[{"metric": "m", "value": day}], at_ms=at_ms, sent_ms=at_ms)

    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        await topics.send("metrics.samples", [of_day(day) for day in range(160)])
        await sink.until("rows", lambda: sink.figure("rows_total") == 160)
        assert sink.metric("watchkeeper_sink_failures_total") == 0


async def test_a_dead_letter_that_cannot_be_read_is_counted_and_never_becomes_another(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        await topics.send("deadletters", [b"{}", b"not json"])
        await sink.until("counted", lambda: sink.metric("watchkeeper_sink_refused_total", topic="deadletters") == 2)
        assert len(await topics.log("deadletters")) == 2


async def test_a_missing_table_ends_the_sink_and_nothing_is_thrown_away(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    async with pipeline(kafka, clickhouse) as topics:
        async with topics.sink() as sink:
            await sink.until("assigned", lambda: sink.figure("assigned"))
            store.command("DROP TABLE watchkeeper_store.transitions SYNC")
            await topics.send("alerts", [transition(0)])
            error = await sink.failed()
            assert isinstance(error, StoreRefused)
            assert "transitions" in str(error)
        assert await topics.log("deadletters") == []


async def test_a_database_of_a_newer_program_is_refused_at_the_start(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    store.insert("watchkeeper_store.migrations", {"number": [9_999], "name": ["9999_x.sql"], "checksum": ["x"]})
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        error = await sink.failed()
        assert isinstance(error, BadSettings)
        assert "newer" in str(error)


async def test_two_sinks_share_the_partitions_and_one_takes_over_when_the_other_is_killed(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    placed = random_rows(10)
    half = len(placed) // 2
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as one:
        await one.until("assigned", lambda: one.figure("assigned"))
        whole = one.figure("assigned")
        async with topics.sink() as other:
            await other.until("shared", lambda: 0 < other.figure("assigned") < whole)
            await send_rollups(topics, placed[:half])
            await one.until("rows", lambda: one.figure("rows_total") + other.figure("rows_total") >= half)
            await other.kill()
            await send_rollups(topics, placed[half:])
            await one.until("taken over", lambda: one.figure("assigned") == whole, 60.0)
            await one.until("rows", lambda: count(store, "watchkeeper.metrics_10s") == len(windows_of(placed)))
    check(store, "metrics_10s", windows_of(placed))
    check(store, "metrics_1m", minutes_of(placed))


async def test_an_insert_whose_outcome_is_unknown_is_made_again_and_is_there_once(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert: Callable[..., None] = Store.insert_native
    answers = iter([False, True, False])

    def lossy(self: Store, table: str, names: Any, blocks: bytes) -> None:
        """As a connection that breaks after the statement arrived, before its answer did."""
        insert(self, table, names, blocks)
        if not next(answers, True):
            raise StoreUnavailable("the connection was closed")

    placed = random_rows(11)
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        await sink.until("assigned", lambda: sink.figure("assigned"))
        monkeypatch.setattr(Store, "insert_native", lossy)
        await send_rollups(topics, placed)
        await sink.until("rows", lambda: sink.figure("rows_total") == len(placed))
        assert failures(sink, "transient") >= 1
    check(store, "metrics_10s", windows_of(placed))


async def test_the_sink_sets_its_tables_up_by_itself(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, empty_store: Store
) -> None:
    async with pipeline(kafka, clickhouse) as topics, topics.sink() as sink:
        await topics.send("alerts", [transition(0)])
        await sink.until("a row", lambda: sink.figure("rows_total") == 1)
    assert migrate(empty_store) == []
    assert len(migrations.migrations()) == count(empty_store, "watchkeeper_store.migrations FINAL")
