"""`watchkeeper replay` as people see it: what it prints, which replays there are, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig
from schemas.errors import BadSettings
from schemas.topics import ALERTS
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.side import DATABASE
from sinks.clickhouse.tables import tables
from tests.engine.alerting import changed
from tests.sinks.rollups import Message
from tests.sinks.stored import START_MS, insert
from tests.watchkeeper.replays import Past, logs
from watchkeeper.commands.replay import drop, run, show
from watchkeeper.words import moment

RULES = """
version: 1
rules:
  - id: load-high
    kind: threshold
    metric: load
    group_by: [source]
    aggregate: max
    warning: 1
"""


@pytest.fixture(scope="module")
def reached(clickhouse: ClickHouseConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Arguments with which a command reaches a past."""
    store = Store(clickhouse)
    migrate(store)
    Past(store).inputs(logs(seconds=150))
    posted = changed("firing", START_MS // 1000 + 60, rule="external.instancedown").model_dump_json().encode()
    table = tables()[ALERTS.name]
    insert(store, table, table.read([Message(posted, topic=ALERTS.name)], ""))
    store.close()
    address = f"{clickhouse.host}:{clickhouse.port}"
    return {"clickhouse": {"address": address}, "data_dir": tmp_path_factory.mktemp("data")}


def replay(reached: dict[str, Any], **options: Any) -> None:
    defaults: dict[str, Any] = {
        "name": "again",
        "since": moment(START_MS),
        "until": "0s",
        "rules": None,
        "window_s": None,
        "lateness_ms": None,
        "source": "clickhouse",
        "replaces": False,
    }
    run(reached, None, **{**defaults, **options})


def test_it_prints_the_comparison_and_lists_and_drops_what_it_made(
    reached: dict[str, Any], clickhouse: ClickHouseConfig, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rules = tmp_path / "stricter.yaml"
    rules.write_text(RULES)
    show(reached, None, as_json=False)
    assert capsys.readouterr().out == "there are no replays\n"

    replay(reached, rules=rules)
    told = capsys.readouterr().out
    ends = f"{moment(START_MS)} to {moment(START_MS + 120_000)} from raw rows in ClickHouse, rules: stricter.yaml"
    assert ends in told.splitlines()[0]
    assert "the log has no whole segments yet" in told.splitlines()[1]
    assert " equal, 0 different, 0 missing, 0 only in the replay" in told.splitlines()[2]
    assert "transitions: 0 equal, 0 only live, 4 only in the replay" in told.splitlines()[3]

    replay(reached, name="minutes", until=moment(START_MS + 90_000), window_s=60, lateness_ms=0)
    assert " equal in what other windows can have equal, 0 different, 0 missing" in capsys.readouterr().out
    show(reached, None, as_json=True)
    again, minutes = map(json.loads, capsys.readouterr().out.splitlines())
    assert (again["name"], again["rules"], again["transitions"], again["from_ms"]) == (
        "again", "stricter.yaml", 4, START_MS,
    )  # fmt: skip
    assert (minutes["window_ms"], minutes["lateness_ms"], minutes["to_ms"]) == (60_000, 0, START_MS + 90_000)

    drop(reached, None, "minutes")
    store = Store(clickhouse)
    store.command(f"CREATE TABLE {DATABASE}.half_rollups AS {DATABASE}.again_rollups")
    store.close()
    capsys.readouterr()
    show(reached, None, as_json=False)
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split("\t")[:4] == ["again", moment(START_MS), first.split("\t")[2], "10 s"]
    assert (second.split("\t")[0], second.split("\t")[-1]) == ("half", "cut off: replay again with --replace")
    with pytest.raises(BadSettings, match="there is no replay minutes: `watchkeeper replay list` names those"):
        drop(reached, None, "minutes")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "rollups; DROP"}, "use 1 to 60 of a-z, 0-9 and _, beginning with a letter"),
        ({"window_s": 0}, "--window-s 0: a window has 1 to 86400 seconds"),
        ({"lateness_ms": -1}, "--lateness-ms -1: windows wait for 0 to 600000 milliseconds"),
        ({"since": "then"}, "--from 'then' is no time"),
        ({"since": "1d", "until": "2d"}, "--to must be later than --from"),
        ({"since": "20d", "until": "19d"}, "no input record is known that came from"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    reached: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadSettings) as caught:
        replay(reached, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
