"""The conservation ledger on a real broker and a real ClickHouse: everything that is lost or double, nothing else."""

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from engine.fold_config import FoldConfig
from engine.ledger import ALL, Stage
from schemas.errors import BadSettings
from tests.sinks.running import EPOCH, RunningSink, pipeline
from tests.sinks.stored import START_MS
from tests.watchkeeper.faulty_run import LENGTH_MS, Run, Where
from tests.watchkeeper.quiet_run import PARTITIONS, Quiet, emptied
from watchkeeper.commands.ledger import run
from watchkeeper.ledger_log import Question
from watchkeeper.words import moment


@pytest.fixture
def store(clickhouse: ClickHouseConfig) -> Iterator[Store]:
    store = emptied(clickhouse)
    yield store
    store.close()


async def stored(sink: RunningSink, store: Store, faulty: Run) -> None:
    """Returns when everything that was sent is in ClickHouse."""
    records, places = sum(map(len, faulty.logs.values())), len(faulty.logs)
    arrived = "SELECT count() FROM watchkeeper_store.arrivals FINAL"
    marked = "SELECT count() FROM watchkeeper_store.watermarks FINAL"
    await sink.until("raw rows", lambda: store.rows(arrived) == [(records,)])
    await sink.until("rollups", lambda: store.rows(marked) == [(2 * places,)])


def asked(kafka: KafkaConfig, clickhouse: ClickHouseConfig, folder: Path) -> dict[str, Any]:
    """Arguments with which the command reaches both services."""
    address = f"{clickhouse.host}:{clickhouse.port}"
    return {
        "kafka": {"bootstrap": kafka.bootstrap},
        "clickhouse": {"address": address},
        "epoch": EPOCH,
        "data_dir": folder,
    }


SPAN = {"since": moment(START_MS), "until": moment(START_MS + LENGTH_MS)}


def found(capsys: pytest.CaptureFixture[str], kind: str = "finding") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if line["type"] == kind]


def test_what_the_memory_guard_kept_together_is_compared_for_all_sources_at_once(store: Store) -> None:
    quiet = Quiet(store, max_rows=5)
    assert quiet.ask().findings == []
    store.command("DELETE FROM watchkeeper_store.rollups WHERE source = '__other__' AND metric = 'cpu'")
    found = quiet.ask().findings
    assert {(one.source, one.stage) for one in found} == {(ALL, Stage.SINK)}


def test_where_the_rows_in_between_are_gone_the_log_is_held_against_clickhouse(store: Store) -> None:
    quiet = Quiet(store)
    gone = {("metrics.rollups", 0): 3}
    assert quiet.ask(gone=gone, began_ms=START_MS).findings == []
    quiet.run.damage_rollups(store, gone=2, double=0, altered=0)
    found = quiet.ask(gone=gone, began_ms=START_MS).findings
    expected = {where._replace(stage=Stage.BOTH) for where in quiet.run.expected}
    assert {Where(one.stage, one.topic, one.partition, one.minute_ms, one.source) for one in found} == expected


def test_what_was_stored_before_it_was_noted_how_records_came_is_not_judged(store: Store) -> None:
    quiet = Quiet(store)
    store.command("DELETE FROM watchkeeper_store.arrivals WHERE topic = 'logs' AND partition = 0 AND offset < 100")
    store.command("DELETE FROM watchkeeper_store.logs WHERE offset < 50")
    report = quiet.ask()
    assert report.findings == []
    assert [places.keys() for places in report.unjudged.values()] == [{("logs", 0)}]
    assert any("since the sink has noted only from then on how records came: logs/0" in note for note in report.notes())


def test_before_anything_told_the_time_to_a_log_nothing_is_judged(store: Store) -> None:
    report = Quiet(store, silent_ms=10_000).ask()
    assert report.findings == []
    [places] = report.unjudged.values()
    assert set(places.values()) == {START_MS + 10_000}
    assert len(places) == len(report.judged) == PARTITIONS


def test_what_has_not_come_through_all_stages_yet_is_not_lost(store: Store) -> None:
    quiet = Quiet(store, raw_until=150)
    store.command("DELETE FROM watchkeeper_store.watermarks WHERE topic = 'logs' AND partition = 1 AND target = 1")
    report = quiet.ask()
    assert report.findings == []
    raw, rollups = (
        next(places for reason, places in report.unjudged.items() if where in reason)
        for where in ("the raw rows in ClickHouse", "the rollup rows in ClickHouse")
    )
    assert rollups == {("logs", 1): START_MS}
    assert raw.keys() == {place for place, log in quiet.run.logs.items() if len(log) > 150}
    assert START_MS < min(raw.values()) < max(raw.values()) < START_MS + LENGTH_MS


def test_a_record_that_came_at_another_time_is_not_missing_and_one_that_cannot_be_read_may_be_it(store: Store) -> None:
    quiet = Quiet(store)
    log, offset = quiet.run.logs["metrics.samples", 0], 100
    while b'"boot"' not in log[offset] or log.count(log[offset]) > 1:
        offset += 1
    record, log[offset] = json.loads(log[offset]), log[offset - 1]

    def missing() -> list[tuple[str, int]]:
        return [(one.source, one.lost) for one in quiet.ask().findings if one.stage is Stage.PRODUCER]

    assert missing() == []
    named = f"boot = '{record['boot']}' AND seq = {record['seq']}"
    store.command(f"DELETE FROM watchkeeper_store.arrivals WHERE {named}")
    assert missing() == [(record["source"], 1)]
    log[offset] = b"not json"
    assert missing() == []


@pytest.mark.asyncio
@pytest.mark.slow
async def test_fifty_losses_and_double_counts_at_random_stages_are_all_located_and_none_falsely(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty = Run(random.Random(20261125))
    faulty.plan(unsent=8)
    faulty.skip_in_fold(10)
    rollups = faulty.fold()
    rollups += faulty.double_on_topic(4)
    async with pipeline(kafka, clickhouse) as topics:
        async with topics.sink() as sink:
            await faulty.publish(topics, rollups)
            await stored(sink, store, faulty)
        faulty.damage_raw_rows(store, gone=10, double=6)
        faulty.damage_rollups(store, gone=6, double=3, altered=3)
        assert len(faulty.expected) == 50
        arguments = asked(kafka, clickhouse, tmp_path)
        code = await asyncio.to_thread(run, arguments, None, topics=[], **SPAN, as_json=True)
        findings = found(capsys)
        await asyncio.to_thread(run, arguments, None, topics=["metrics.samples"], **SPAN, as_json=False)
    located = {
        Where(Stage(one["stage"]), one["topic"], one["partition"], one["minute_ms"], one["source"]): (
            one["lost"],
            one["double"],
        )
        for one in findings
    }
    assert located == faulty.expected
    assert len(findings) == 50
    assert code == 1
    told = capsys.readouterr().out.splitlines()
    of_samples = [one for one in findings if one["topic"] == "metrics.samples" and one["stage"] != Stage.PRODUCER]
    assert told[0].split("\t") == ["stage", "partition", "minute", "source", "lost", "double", "records"]
    rows = {tuple(line.split("\t")[:4]) for line in told if "\t" in line}
    assert rows >= {
        (one["stage"], f"metrics.samples/{one['partition']}", moment(one["minute_ms"]), one["source"])
        for one in of_samples
    }
    assert len(rows) == 1 + len(of_samples)
    assert any(line.startswith("judged from") for line in told)


def test_a_span_from_before_all_time_reads_from_the_first_record_on() -> None:
    question = Question(topics=["logs"], epochs={}, from_ms=0, to_ms=1, rules=FoldConfig())
    assert question.begin_ms == 0


def test_what_is_no_input_topic_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"--topic alerts is no input topic; there are metrics\.samples, "):
        run({"data_dir": tmp_path}, None, topics=["alerts"], **SPAN, as_json=False)
