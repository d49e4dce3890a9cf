"""`watchkeeper incidents`, as people use it: a real broker, a real ClickHouse and a notifier that works."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connect.admin import create_topics
from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from connect.reader import TopicReader
from engine.incidents import Grouping, Incidents
from schemas.errors import BadSettings
from schemas.incidents import Action, IncidentAction
from schemas.topics import INCIDENTS, TOPICS
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.tables import tables
from tests.agents.pipeline import eventually
from tests.engine.alerting import changed
from tests.notify.process import emit, notifiers
from tests.sinks.rollups import Message
from tests.sinks.stored import insert
from watchkeeper.commands import incidents, prepare

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Desk:
    """What commands reach."""

    def __init__(self, kafka: KafkaConfig, store: Store, arguments: dict[str, Any]) -> None:
        self.kafka = kafka
        self.store = store
        self.arguments = arguments

    async def values(self) -> list[bytes]:
        """Everything on topic `incidents`."""
        found: list[bytes] = []
        async with TopicReader(self.kafka, INCIDENTS.name) as reader:
            while not reader.caught_up():
                for chunk in await reader.read(timeout_s=0.25):
                    found += [record.value or b"" for record in chunk.records]
        return found

    def sink(self) -> None:
        """Stores what stands there, as the sink does."""
        table = tables()[INCIDENTS.name]
        values = asyncio.run(self.values())
        insert(self.store, table, table.read([Message(value, topic=INCIDENTS.name) for value in values], ""))


@pytest.fixture
def desk(kafka: KafkaConfig, clickhouse: ClickHouseConfig, tmp_path: Path) -> Iterator[Desk]:
    asyncio.run(create_topics(kafka, TOPICS))
    store = Store(clickhouse)
    migrate(store)
    store.command("TRUNCATE TABLE watchkeeper_store.incidents")
    arguments = {
        "kafka": {"bootstrap": kafka.bootstrap, "idempotent": kafka.idempotent},
        "clickhouse": {"address": f"{clickhouse.host}:{clickhouse.port}"},
        "data_dir": tmp_path,
    }
    with notifiers(kafka, tmp_path, tmp_path) as start:
        start(WATCHKEEPER_NOTIFY_FILE="")
        yield Desk(kafka, store, arguments)
    store.close()


def test_an_incident_is_listed_shown_and_taken_care_of(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(_opened(desk))
    desk.sink()
    incidents.show_all(desk.arguments, None, all_=False, limit=5, as_json=True)
    listed = json.loads(capsys.readouterr().out)
    name = listed["id"][:8]

    incidents.act(name, Action.ACKNOWLEDGE, desk.arguments, None, assigned_to="bob")
    assert "is acknowledged: cpu-busy on web-1 is firing" in capsys.readouterr().out
    incidents.act(name, Action.SNOOZE, desk.arguments, None, lasts="1h", comment="new disk")
    assert "is snoozed until 20" in capsys.readouterr().out
    with pytest.raises(BadSettings, match="a snooze ends 31 days later at most"):
        incidents.act(name, Action.SNOOZE, desk.arguments, None, lasts="99999999d")
    with pytest.raises(BadSettings, match="is open: it cannot reopen now"):
        incidents.act(name, Action.REOPEN, desk.arguments, None)
    incidents.act(name, Action.RESOLVE, desk.arguments, None)
    assert f"{listed['id']} is resolved by " in capsys.readouterr().out

    desk.sink()
    incidents.show(name, desk.arguments, None, as_json=False)
    shown = capsys.readouterr().out
    for one in ("bob takes care of it", "detected after 10 s", "new disk", "\tsnoozed\t", "\tignored\t"):
        assert one in shown
    incidents.show_all(desk.arguments, None, all_=False, limit=5, as_json=False)
    assert capsys.readouterr().out == "no incident is open: --all lists the past ones\n"
    with pytest.raises(BadSettings, match="there is no incident nope: `watchkeeper incidents list --all` tells them"):
        incidents.show("nope", desk.arguments, None, as_json=False)


def test_a_broker_that_forgot_is_told_of_incidents_again(desk: Desk, broker: KafkaConfig) -> None:
    asyncio.run(_opened(desk))
    desk.sink()
    before = asyncio.run(desk.values())

    asyncio.run(create_topics(broker, TOPICS))
    told = asyncio.run(prepare._restore(broker, desk.store))

    assert "1 records of incidents" in told
    assert asyncio.run(Desk(broker, desk.store, {}).values()) == before


def test_of_an_incident_that_is_long_over_is_said_why_nobody_may_answer() -> None:
    (opened,) = Incidents(Grouping()).take(changed("firing", 20))
    over = opened.incident.model_copy(update={"resolved_ms": 30_000})
    assert incidents.said(opened.incident, Action.REOPEN, None).endswith(
        "no notifier has answered yet, see `watchkeeper status`"
    )
    assert incidents.said(over, Action.REOPEN, None).endswith("of incidents that are over it knows the last 1000")


def test_each_event_names_what_it_is_about() -> None:
    known = Incidents(Grouping())
    events = [*known.take(changed("firing", 20)), *known.take(changed("firing", 20, rule="disk-full"))]
    name = events[0].incident.id
    events += known.take(changed("stale", 40, rule="disk-full", revision=1))
    events += known.escalated(name, "20000/900000/team/lead", 50_000)
    for at_ms, action in enumerate((Action.ASSIGN, Action.SNOOZE, Action.SNOOZE, Action.COMMENT), start=60_000):
        until_ms = 3_600_000 if at_ms == 60_001 else at_ms
        asked: dict[str, Any] = {"id": f"{at_ms:032x}", "incident": name, "action": action, "at_ms": at_ms, "by": "ada"}
        events += known.act(IncidentAction(**asked, assigned_to="bob", until_ms=until_ms, comment="new disk"))

    assert [(what, about) for _, what, _, about in incidents.told(events)] == [
        ("opened", "cpu-busy source=web-1 firing"),
        ("joined", "disk-full source=web-1 firing"),
        ("updated", "disk-full source=web-1 stale"),
        ("escalated", "to team/lead"),
        ("assigned", "bob takes care of it: new disk"),
        ("snoozed", "until 1970-01-01T01:00:00Z: new disk"),
        ("snoozed", "no longer: new disk"),
        ("commented", "new disk"),
    ]


async def _opened(desk: Desk) -> None:
    await emit(desk.kafka, changed("firing", 20))

    async def stands() -> bool:
        return bool(await desk.values())

    await eventually("it opened", stands)
