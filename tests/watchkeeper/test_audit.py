"""What the auditor found, as people and programs see it: `watchkeeper audit`, and the line in `status`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from connect.admin import create_topics, wait_until_ready
from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from schemas.errors import BadSettings
from schemas.topics import TOPICS
from sinks.clickhouse.migrate import migrate
from tests.sinks.rollups import HOUR_MS
from tests.sinks.stored import EPOCH, START_MS, Stored, record, tick
from tests.watchkeeper.test_lag import status
from watchkeeper.commands.audit import run
from watchkeeper.times import moment_ms, range_ms
from watchkeeper.words import moment


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({}, "audit: no hour was audited yet"),
        ({"audited_until_ms": 1_790_000_000_000, "audit_mismatches": 0}, "up to 2026-09-21T14:13:20Z"),
        ({"audited_until_ms": 1_790_000_000_000, "audit_mismatches": 3}, "the rollups of 3 series do not hold"),
    ],
)
def test_status_says_what_the_auditor_found(figures: dict[str, Any], told: str) -> None:
    assert told in next(line for line in status(figures).splitlines() if line.startswith("audit"))


NOW_MS = 1_790_000_000_000


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2026-09-21T14:13:20Z", NOW_MS),
        ("2026-09-21T14:13:20", NOW_MS),
        ("2026-09-21T16:13:20.5+02:00", NOW_MS + 500),
        (" 2026-09-21 ", NOW_MS - (14 * 3600 + 13 * 60 + 20) * 1000),
        ("90min", NOW_MS - 5_400_000),
        ("90m", NOW_MS - 5_400_000),
        ("2h", NOW_MS - 7_200_000),
        ("30s", NOW_MS - 30_000),
        ("999999d", 0),
    ],
)
def test_a_time_on_the_command_line_is_a_moment_or_so_long_ago(text: str, at_ms: int) -> None:
    assert moment_ms("--from", text, now_ms=NOW_MS) == at_ms


@pytest.mark.parametrize("text", ["", "yesterday", "2h ago", "-2h", "2026-13-01", "h"])
def test_what_is_no_time_is_refused_with_what_may_be_written(text: str) -> None:
    with pytest.raises(BadSettings, match=r"--from .* is no time: write 2026-"):
        moment_ms("--from", text, now_ms=NOW_MS)


@pytest.mark.parametrize("until", ["2h", "90min"])
def test_a_range_that_ends_before_it_has_begun_is_refused(until: str) -> None:
    with pytest.raises(BadSettings, match="--to must be later than --from"):
        range_ms("90min", until, now_ms=NOW_MS)


@pytest.fixture
def reached(kafka: KafkaConfig, clickhouse: ClickHouseConfig) -> dict[str, Any]:
    """Arguments with which a command reaches both services."""

    async def topics() -> None:
        await wait_until_ready(kafka, 10.0)
        await create_topics(kafka, TOPICS)

    asyncio.run(topics())
    address = f"{clickhouse.host}:{clickhouse.port}"
    store = Store(clickhouse)
    migrate(store)
    store.close()
    return {"kafka": {"bootstrap": kafka.bootstrap}, "clickhouse": {"address": address}, "epoch": EPOCH}


def test_the_command_prints_what_it_found_and_says_so_with_its_exit_code(
    reached: dict[str, Any], clickhouse: ClickHouseConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = Store(clickhouse)
    late_ms = START_MS + HOUR_MS
    log = [
        tick(START_MS),
        *(record(seq, START_MS + seq * 10_000) for seq in range(3)),
        tick(late_ms),
        record(9, late_ms),
    ]
    Stored(store).both(log)
    arguments = {**reached, "data_dir": tmp_path}
    span = {"since": moment(START_MS), "until": moment(START_MS + HOUR_MS)}

    assert run(arguments, None, **span, as_json=False) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["hour", "topic", "result", "series", "mismatches", "repeats", "found"]
    assert [moment(START_MS), "metrics.samples", "equal", "1", "0", "0", ""] in lines

    store.command("DELETE FROM watchkeeper_store.rollups WHERE sum = 1.25")
    assert run(arguments, None, **span, as_json=False) == 1
    out = capsys.readouterr().out
    assert "1 of 3 values are missing in the rollups" in out
    assert "where metrics.samples differs: watchkeeper ledger --topic metrics.samples --from" in out
    assert run(arguments, None, **span, as_json=True) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["mismatches"] for row in rows if row["topic"] == "metrics.samples"] == [1]

    Stored(store).raw([record(10, late_ms)], first=len(log))
    assert run(arguments, None, since=moment(late_ms), until="0s", as_json=True) == 0
    waiting = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"waiting"' in line]
    assert [row["found"] for row in waiting] == [["the rollups are not complete yet: metrics.samples/0"]]
    store.close()


def test_a_range_without_a_closed_hour_is_told(
    reached: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run({**reached, "data_dir": tmp_path}, None, since="1min", until="0s", as_json=False) == 0
    assert capsys.readouterr().out == "no hour of this range is closed and whole\n"
