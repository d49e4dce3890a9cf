"""`watchkeeper silences`, `maintenance` and `route`, as people use them: on a real broker and a real ClickHouse."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from connect.admin import create_topics
from connect.clickhouse import Store
from connect.clock import now_ms
from connect.config import ClickHouseConfig, KafkaConfig
from operations import control
from schemas.alerts import Transition
from schemas.control import Acknowledgement
from schemas.errors import BadSettings
from schemas.topics import ALERTS, CONTROL
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.restore import load_control
from sinks.clickhouse.tables import tables
from tests.engine.alerting import changed
from tests.sinks.rollups import Message
from tests.sinks.stored import insert
from watchkeeper.commands import acknowledge, routes, silences
from watchkeeper.whoami import whoami

NOTIFY = """
version: 1
receivers:
  - {name: team, kind: slack, url: https://hooks.example/T0KEN}
  - {name: pager, kind: pagerduty, routing_key: r0uting, fallback: team}
route:
  receiver: team
  routes:
    - {matchers: [severity="critical"], receiver: pager, group_by: [source], continue: true}
    - {matchers: [service=shop], group_wait: 30s}
"""


@pytest.fixture
def reached(broker: KafkaConfig, clickhouse: ClickHouseConfig, tmp_path: Path) -> dict[str, Any]:
    """Arguments with which commands reach both."""
    asyncio.run(create_topics(broker, [CONTROL]))
    return {
        "kafka": {"bootstrap": broker.bootstrap, "idempotent": broker.idempotent},
        "clickhouse": {"address": f"{clickhouse.host}:{clickhouse.port}"},
        "data_dir": tmp_path,
    }


def add(reached: dict[str, Any], *matchers: str, **fields: Any) -> None:
    defaults = {"lasts": "2h", "begins": "", "comment": "known", "everything": False}
    silences.add(matchers, reached, None, **{**defaults, **fields})


def test_a_silence_is_made_listed_and_ended(reached: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    add(reached, "source=web-1", "severity!=critical", comment="new disk")
    name, _, told = capsys.readouterr().out.partition(": ")
    assert told.startswith('source="web-1", severity!="critical" until 20')
    silences.show("silence", reached, None, all_=False, as_json=False)
    assert capsys.readouterr().out.splitlines()[1].split("\t")[4:] == ["new disk", whoami()]
    silences.expire("silence", name[:4], reached, None)
    assert capsys.readouterr().out == f"{name} no longer holds\n"
    silences.show("silence", reached, None, all_=False, as_json=False)
    assert capsys.readouterr().out == "there is no silence\n"
    silences.show("silence", reached, None, all_=True, as_json=True)
    (one,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (one["version"], one["ends_ms"] < one["starts_ms"] + 60_000) == (2, True)


def test_maintenance_is_made_changed_listed_and_turned_off(
    reached: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    weekly = {"first": "2026-11-29T02:00", "rrule": "FREQ=WEEKLY;BYDAY=SU", "zone": "Europe/Berlin", "comment": "c"}
    for lasts in ("2h", "3h"):
        silences.maintain("backup", ["source=db-1"], reached, None, everything=False, lasts=lasts, **weekly)
    capsys.readouterr()
    silences.show("maintenance", reached, None, all_=False, as_json=True)
    (one,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (one["version"], one["duration_ms"]) == (2, 3 * 3_600_000)
    silences.expire("maintenance", "backup", reached, None)
    capsys.readouterr()
    silences.show("maintenance", reached, None, all_=True, as_json=False)
    assert "\toff\t" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("matchers", "fields", "why"),
    [
        ([], {}, "would hide every alert"),
        (["team!=a"], {}, "would hide every alert"),
        (["source"], {}, "is no matcher"),
        (["source=a"], {"lasts": "soon"}, "--for: 'soon' is no duration"),
        (["source=a"], {"lasts": "0s"}, "a silence ends after it starts"),
        (["source=~("], {}, r"^'\(' is no pattern"),
        (["source=a"], {"lasts": "40d"}, "31 days later at most"),
        (["source=a"], {"comment": ""}, "comment: String should have at least 1 character"),
    ],
)
def test_a_silence_that_cannot_be_is_refused_with_a_reason(
    reached: dict[str, Any], matchers: list[str], fields: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadSettings, match=why):
        add(reached, *matchers, **fields)


def test_what_is_not_there_cannot_be_ended(reached: dict[str, Any]) -> None:
    with pytest.raises(BadSettings, match="there is no silence nobody"):
        silences.expire("silence", "nobody", reached, None)


def test_a_preview_tells_which_alerts_a_silence_would_have_hidden(
    reached: dict[str, Any], clickhouse: ClickHouseConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    store, now_s = Store(clickhouse), now_ms() // 1000
    migrate(store)
    some = [changed("firing", now_s - 60 * n, source=f"web-{n}", episode_s=now_s - 60 * n) for n in range(1, 4)]
    some.append(changed("firing", now_s - 40 * 86_400, source="web-1", episode_s=now_s - 40 * 86_400))
    table = tables()[ALERTS.name]
    values = [one.model_dump_json().encode() for one in some]
    insert(store, table, table.read([Message(value, topic=ALERTS.name) for value in values], ""))
    store.close()
    silences.preview(["source=~web-[12]"], reached, None, last="30d", everything=False, as_json=False)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "2 of 3 alerts of the last 30d would not have been told"
    assert told[1].split() == ["2", "cpu-busy"]
    assert [line.split("\t")[3] for line in told[3:]] == ["source=web-1", "source=web-2"]


def test_the_file_of_receivers_is_checked_and_the_way_of_an_alert_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "notify.yaml"
    file.write_text(NOTIFY)
    routes.check(str(file))
    assert capsys.readouterr().out.splitlines() == [
        f"{file}: 2 receivers, 3 routes, all good",
        "team: slack",
        "pager: pagerduty, then team",
    ]
    routes.explain(["severity=critical", "source=web-1", "service=mail"], str(file), {"data_dir": tmp_path}, None)
    assert capsys.readouterr().out.splitlines() == [
        "✓ {}  matches",
        '  ✓ {severity="critical"}  tells pager',
        '  ✗ {service="shop"}  service="shop" does not hold',
        "pager: together with source=web-1; first after 1 s, news every 1 min at most, again after 4 h",
    ]
    with pytest.raises(BadSettings, match="no file of receivers and routes"):
        routes.explain(["a=b"], "", {"data_dir": tmp_path}, None)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("receiver: team", "receiver: teem", "7: route.receiver: there is no receiver teem; there are pager, team"),
        ("fallback: team", "fallback: pager", "5: receivers.1: fallback must be another receiver"),
        ("fallback: team", "fallback: nobody", "5: receivers.1.fallback: there is no receiver nobody"),
        ("name: team, ", "name: pager, ", "5: receivers.1.name: there is another receiver pager"),
        ("https://hooks.example/T0KEN}", "https://x/T0KEN, fallback: pager}", "would be told again: a circle"),
        ("kind: slack", "kind: pigeon", "4: receivers.0: "),
        ("kind: slack, ", "", "say which kind of receiver it is"),
        ("group_wait: 30s", "group_wait: soon", "10: route.routes.1.group_wait: 'soon' is no duration"),
        ("matchers: [service=shop]", "matchers: ['service=~\"(\"']", "is no pattern"),
        ("receiver: team\n  routes", "matchers: [a=b]\n  routes", "the top takes every alert"),
        ("version: 1", "version: 2", "version: Input should be 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line_and_no_secret(
    tmp_path: Path, old: str, new: str, why: str
) -> None:
    file = tmp_path / "notify.yaml"
    file.write_text(NOTIFY.replace(old, new, 1))
    with pytest.raises(BadSettings) as raised:
        routes.check(str(file))
    assert why in str(raised.value)
    assert "T0KEN" not in str(raised.value)


def test_somebody_takes_care_of_an_alert_and_how_soon_is_seen(
    reached: dict[str, Any], broker: KafkaConfig, clickhouse: ClickHouseConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    store, now_s = Store(clickhouse), now_ms() // 1000
    migrate(store)
    fired = changed("firing", now_s - 60, source="ack-1", rule="acked", episode_s=now_s - 90)
    end = changed("ok", now_s + 60, source="ack-1", rule="acked", episode_s=now_s - 90)
    put(store, ALERTS.name, [fired, end])
    acknowledge.run("acked", reached, None, assign="bob", comment="restarting")
    assert capsys.readouterr().out == f"bob takes care of {fired.alert}: acked on ack-1 is firing\n"
    records = [value for value in asyncio.run(everything(broker)) if b"acknowledgement" in value]
    insert(store, tables()[CONTROL.name], tables()[CONTROL.name].read(
        [Message(value, topic=CONTROL.name) for value in records], ""))  # fmt: skip
    assert Acknowledgement.model_validate_json(records[-1]) in load_control(store)
    columns = "detect_s, acknowledge_s, acknowledged_by, resolve_s"
    told = store.rows(f"SELECT {columns} FROM watchkeeper.alert_response WHERE rule = 'acked'")
    assert (told[0][0], told[0][2], told[0][3]) == (30, whoami(), 120)
    assert 59 <= told[0][1] <= 90
    with pytest.raises(BadSettings, match="no alert was raised that is called nobody"):
        acknowledge.run("nobody", reached, None, assign="", comment="")
    store.close()


def put(store: Store, topic: str, some: Sequence[Transition]) -> None:
    table = tables()[topic]
    values = [one.model_dump_json().encode() for one in some]
    insert(store, table, table.read([Message(value, topic=topic) for value in values], ""))


async def everything(config: KafkaConfig) -> list[bytes]:
    return [value async for value in control.values(config) if value is not None]
