"""Incidents on a real broker: what people ask for is done once, whatever happens to the notifier meanwhile."""

from pathlib import Path
from typing import Any

import pytest

from connect.admin import create_topics
from connect.clock import now_ms
from connect.config import KafkaConfig
from operations.control import publish
from operations.responses import ask, new_id
from schemas.control import Acknowledgement
from schemas.incidents import Action, Change, IncidentAction
from schemas.topics import TOPICS
from tests.agents.pipeline import eventually
from tests.engine.alerting import changed
from tests.notify.process import emit, events_of, notifiers, planned, receiver, routes

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(120)]

QUICK = {"receiver": "team", "group_by": ["source"], "group_wait": "0s", "group_interval": "0s"}


async def test_an_incident_opens_is_acknowledged_and_resolved_and_outlives_its_notifier(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    await create_topics(kafka, TOPICS)
    # Without receivers nobody is told, and incidents are kept all the same.
    with notifiers(kafka, tmp_path, tmp_path) as start:
        first = start(WATCHKEEPER_NOTIFY_FILE="")
        await emit(kafka, changed("pending", 10), changed("firing", 20), changed("firing", 25, rule="disk-full"))
        await eventually("it opened", lambda: _is(kafka, ["opened", "joined"]))
        (opened, *_) = await events_of(kafka)
        first.kill()
        # Asked while nobody works.
        waiting = _asked(opened, Action.ACKNOWLEDGE, assigned_to="bob")
        assert await ask(kafka, waiting, within_s=0.5) is None
        start(WATCHKEEPER_NOTIFY_FILE="")
        await emit(kafka, changed("ok", 50), changed("ok", 60, rule="disk-full"))
        await eventually("it is over", lambda: _has(kafka, "resolved"))
        reopened = await ask(kafka, _asked(opened, Action.REOPEN), within_s=20)
        ignored = await ask(kafka, _asked(opened, Action.REOPEN), within_s=20)
        events = await events_of(kafka)
    assert reopened is not None
    assert (reopened.incident.status, reopened.incident.reopened) == ("open", 1)
    assert ignored is not None
    assert ignored.change is Change.IGNORED
    assert sorted(one["change"] for one in events[2:5]) == ["acknowledged", "resolved", "updated"]
    assert len({one["id"] for one in events}) == len(events) == 7
    assert [one["incident"]["version"] for one in events] == list(range(1, 8))
    assert events[4]["incident"]["assigned_to"] == "bob"


async def test_nobody_takes_care_and_the_next_one_is_told_once_whatever_happens(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    await create_topics(kafka, TOPICS)
    escalates = {**QUICK, "escalate": [{"after": "1s", "receiver": "lead"}]}
    async with receiver() as (team, url), receiver() as (lead, other):
        file = routes(tmp_path / "notify.yaml", {"team": url, "lead": other}, escalates)
        with notifiers(kafka, tmp_path, file) as start:
            first = start()
            minute_ago_s = now_ms() // 1000 - 60
            await emit(kafka, changed("firing", minute_ago_s, episode_s=minute_ago_s))
            await eventually("the lead is told", lambda: _told(lead.transitions, ["web-1 firing"]))
            await eventually("it is noted", lambda: _has(kafka, "escalated"))
            first.kill()
            start()
            # Somebody takes care of this one before its time: an acknowledgement of its alert is one of the incident.
            soon_s = now_ms() // 1000 + 5
            fires = changed("firing", soon_s, source="web-2", episode_s=soon_s)
            await emit(kafka, fires)
            await publish(kafka, [_care(fires.alert, fires.episode_ms)])
            await eventually("it is noted", lambda: _has(kafka, "acknowledged"))
            await emit(kafka, changed("firing", minute_ago_s, source="web-3", episode_s=minute_ago_s))
            await eventually("the lead is told of the third", lambda: _told(lead.transitions[1:], ["web-3 firing"]))
            # What was told before the crash is ended after it.
            await emit(kafka, changed("ok", minute_ago_s + 30, episode_s=minute_ago_s))
            await eventually("the lead is told of the end", lambda: _told(lead.transitions[2:], ["web-1 ok"]))
            every = ["web-1 firing", "web-1 ok", "web-2 firing", "web-3 firing"]
            await eventually("so is the team", lambda: _told(sorted(team.transitions), every))
        told = [one["notice"] for one in await planned(kafka) if one["type"] == "planned"]
    assert [one["receiver"] for one in told].count("lead") == 3


async def test_who_was_told_and_is_no_receiver_any_more_keeps_nobody_from_being_told(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    await create_topics(kafka, TOPICS)
    escalates = {**QUICK, "escalate": [{"after": "1s", "receiver": "lead"}]}
    async with receiver() as (team, url), receiver() as (lead, other):
        file = routes(tmp_path / "notify.yaml", {"team": url, "lead": other}, escalates)
        with notifiers(kafka, tmp_path, file) as start:
            first = start()
            await emit(kafka, changed("firing", 20))
            await eventually("the lead is told", lambda: _told(lead.transitions, ["web-1 firing"]))
            first.kill()
            routes(tmp_path / "notify.yaml", {"team": url}, QUICK)
            start()
            await emit(kafka, changed("ok", 90))
            await eventually("the team is told", lambda: _told(team.transitions, ["web-1 firing", "web-1 ok"]))
    assert lead.transitions == ["web-1 firing"]


async def test_who_is_told_instead_is_told_of_the_end_too_once(kafka: KafkaConfig, tmp_path: Path) -> None:
    await create_topics(kafka, TOPICS)
    escalates = {**QUICK, "escalate": [{"after": "1s", "receiver": "lead"}]}
    async with receiver() as (_, url), receiver() as (lead, refusing), receiver() as (boss, other):
        lead.status = 404
        urls = {"team": url, "lead": refusing, "boss": other}
        file = routes(tmp_path / "notify.yaml", urls, escalates, lead={"fallback": "boss"})
        with notifiers(kafka, tmp_path, file) as start:
            first = start()
            await emit(kafka, changed("firing", 20))
            await eventually("the boss is told", lambda: _told(boss.transitions, ["web-1 firing"]))
            lead.status = 200
            # One end is told by the notifier that told of the incident, one by its successor.
            await emit(kafka, changed("ok", 90))
            await eventually("the boss is told", lambda: _told(boss.transitions, ["web-1 firing", "web-1 ok"]))
            lead.status = 404
            await emit(kafka, changed("firing", 20, source="web-2"))
            await eventually("the boss is told", lambda: _told(boss.transitions[2:], ["web-2 firing"]))
            first.kill()
            lead.status = 200
            start()
            await emit(kafka, changed("ok", 90, source="web-2"))
            await eventually("the boss is told", lambda: _told(boss.transitions[3:], ["web-2 ok"]))
        told = [one["notice"] for one in await planned(kafka) if one["type"] == "planned"]
    assert [one["receiver"] for one in told if one["status"] == "resolved"].count("boss") == 2
    assert lead.transitions == []


async def test_what_is_snoozed_is_not_told_until_then(kafka: KafkaConfig, tmp_path: Path) -> None:
    await create_topics(kafka, TOPICS)
    async with receiver() as (taken, url):
        with notifiers(kafka, tmp_path, routes(tmp_path / "notify.yaml", {"team": url}, QUICK)) as start:
            start()
            await emit(kafka, changed("firing", 20))
            await eventually("it is told", lambda: _told(taken.transitions, ["web-1 firing"]))
            (opened,) = await events_of(kafka)
            until_ms = now_ms() + 3_600_000
            assert await ask(kafka, _asked(opened, Action.SNOOZE, until_ms=until_ms), within_s=20)
            await emit(kafka, changed("firing", 25, rule="disk-full"))
            await eventually("it is held back", lambda: _held_back(kafka, f"incident/{opened['incident']['id']}"))
            assert taken.transitions == ["web-1 firing"]
            assert await ask(kafka, _asked(opened, Action.SNOOZE, until_ms=now_ms()), within_s=20)
            await eventually("it is told", lambda: _told(taken.transitions, ["web-1 firing"] * 3), within_s=40)


def _care(alert: str, episode_ms: int) -> Acknowledgement:
    id_ = f"acknowledgement/{alert}"
    return Acknowledgement(id=id_, version=1, at_ms=now_ms(), by="ada", episode_ms=episode_ms)


def _asked(event: dict[str, Any], action: Action, **fields: Any) -> IncidentAction:
    id_ = event["incident"]["id"]
    return IncidentAction(id=new_id(), incident=id_, action=action, at_ms=now_ms(), by="ada", **fields)


async def _is(kafka: KafkaConfig, changes: list[str]) -> bool:
    return [one["change"] for one in await events_of(kafka)] == changes


async def _has(kafka: KafkaConfig, change: str) -> bool:
    return any(one["change"] == change for one in await events_of(kafka))


async def _held_back(kafka: KafkaConfig, by: str) -> bool:
    return any(by in one["by"] for one in await planned(kafka) if one["type"] == "suppressed")


async def _told(told: list[str], wanted: list[str]) -> bool:
    return told == wanted
