"""The notifier on a real broker: what a receiver is given, whatever happens to the notifier meanwhile."""

import asyncio
from pathlib import Path

import pytest

from connect.admin import create_topics
from connect.clock import now_ms
from connect.config import KafkaConfig
from connect.kafka import connected
from connect.outbox import Message, Outbox
from operations.control import publish
from schemas.alerts import AlertState, Severity, State
from schemas.control import Silence
from schemas.matchers import parse_matcher
from schemas.topics import ALERT_STATES, TOPICS
from tests.agents.pipeline import eventually
from tests.conftest import config_of, new_broker
from tests.engine.alerting import changed
from tests.notify.process import Process, Taken, emit, notifiers, planned, receiver, routes

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(120)]

QUICK = {"receiver": "team", "group_by": ["source"], "group_wait": "0s", "group_interval": "0s"}


async def test_a_change_reaches_the_receiver_soon_and_is_written_down(kafka: KafkaConfig, tmp_path: Path) -> None:
    await create_topics(kafka, TOPICS)
    async with receiver() as (taken, url):
        file = routes(tmp_path / "notify.yaml", {"team": url}, QUICK)
        with notifiers(kafka, tmp_path, file) as start:
            notifier = start()
            await eventually("it works", lambda: _says(notifier, "This notifier works now"))
            sent_ms = now_ms()
            await emit(kafka, changed("pending", 10), changed("firing", 20))
            await eventually("it is told", lambda: _has(taken, 1))
            assert now_ms() - sent_ms < 5_000
            await emit(kafka, changed("recovering", 30), changed("ok", 40))
            await eventually("its end is told", lambda: _has(taken, 2))
            assert taken.transitions == ["web-1 firing", "web-1 ok"]
            assert notifier.stop() == 0
        told = await planned(kafka)
    assert [one["type"] for one in told] == ["planned", "delivered", "planned", "delivered"]
    assert told[1]["attempts"] == 1


async def test_alerts_of_before_it_ever_ran_are_told_if_they_still_stand(kafka: KafkaConfig, tmp_path: Path) -> None:
    await create_topics(kafka, TOPICS)
    await emit(kafka, changed("firing", 20), changed("firing", 20, source="web-2"), changed("ok", 90, source="web-2"))
    async with receiver() as (taken, url):
        with notifiers(kafka, tmp_path, routes(tmp_path / "notify.yaml", {"team": url}, QUICK)) as start:
            start()
            await eventually("it is told", lambda: _has(taken, 1))
            await emit(kafka, changed("firing", 100, source="last"))
            await eventually("it is told", lambda: _has(taken, 2))
    assert taken.transitions == ["web-1 firing", "last firing"]


async def test_a_notifier_that_begins_tells_what_stands_and_nothing_of_the_parts_of_rules(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    await create_topics(kafka, TOPICS)
    states = [
        AlertState(
            alert=f"{number:016x}", rule=rule, rule_version=1, entity={"source": rule}, state=State.FIRING,
            severity=Severity.CRITICAL, episode_ms=now_ms(), since_ms=now_ms(),
        )
        for number, rule in enumerate(("both~slow", "both", "both~failing"))
    ]  # fmt: skip
    async with connected(kafka) as client:
        await Outbox(client).deliver(
            Message(ALERT_STATES.name, one.alert.encode(), one.model_dump_json().encode()) for one in states
        )
    async with receiver() as (taken, url):
        with notifiers(kafka, tmp_path, routes(tmp_path / "notify.yaml", {"team": url}, QUICK)) as start:
            notifier = start()
            await eventually("it is told", lambda: _has(taken, 1))
            await emit(kafka, changed("firing", 100, source="last"))
            await eventually("what comes later is told", lambda: _has(taken, 2))
            assert notifier.stop() == 0
    assert taken.transitions == ["both firing", "last firing"]


async def test_a_receiver_that_is_away_is_tried_again_and_others_do_not_wait_for_it(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    await create_topics(kafka, TOPICS)
    both = {**QUICK, "routes": [{"receiver": "away", "continue": True}, {"receiver": "team"}]}
    async with receiver() as (taken, url), receiver() as (late, other):
        late.status = 503
        file = routes(tmp_path / "notify.yaml", {"team": url, "away": other}, both)
        with notifiers(kafka, tmp_path, file) as start:
            notifier = start()
            await emit(kafka, *(changed("firing", 20, source=f"web-{n}") for n in range(20)))
            await eventually("the other is told", lambda: _has(taken, 20))
            await eventually("it was tried", lambda: _says(notifier, "away did not take a notice, attempt 2"))
            late.status = 200
            await eventually("it is told", lambda: _has(late, 20))
    assert sorted(late.transitions) == sorted(taken.transitions)


async def test_an_end_does_not_overtake_the_beginning_that_a_receiver_did_not_take_at_once(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    await create_topics(kafka, TOPICS)
    async with receiver() as (taken, url):
        taken.status = 503
        with notifiers(kafka, tmp_path, routes(tmp_path / "notify.yaml", {"team": url}, QUICK)) as start:
            notifier = start()
            await emit(kafka, changed("firing", 20))
            await eventually("it waits for its fourth attempt", lambda: _says(notifier, "attempt 3"))
            taken.status = 200
            await emit(kafka, changed("ok", 90), changed("firing", 20, source="web-2"))
            await eventually("all is told", lambda: _has(taken, 3))
    assert taken.transitions == ["web-2 firing", "web-1 firing", "web-1 ok"]


async def test_a_receiver_that_takes_connections_and_never_answers_delays_no_other(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    await create_topics(kafka, TOPICS)
    both = {**QUICK, "routes": [{"receiver": "frozen", "continue": True}, {"receiver": "team"}]}
    async with receiver() as (taken, url), receiver() as (frozen, other):
        frozen.holds = asyncio.Event()
        file = routes(tmp_path / "notify.yaml", {"team": url, "frozen": other}, both)
        with notifiers(kafka, tmp_path, file) as start:
            start()
            await emit(kafka, *(changed("firing", 20, source=f"web-{n}") for n in range(50)))
            await eventually("the other is told", lambda: _has(taken, 50))
            assert frozen.notices == []
            frozen.holds.set()
            frozen.holds = None
            await eventually("it is told", lambda: _has(frozen, 50))
    assert sorted(frozen.transitions) == sorted(taken.transitions)


async def test_where_a_receiver_refuses_its_fallback_is_told(kafka: KafkaConfig, tmp_path: Path) -> None:
    await create_topics(kafka, TOPICS)
    async with receiver() as (taken, url), receiver() as (refusing, other):
        refusing.status = 404
        file = routes(
            tmp_path / "notify.yaml", {"team": other, "others": url}, QUICK, team={"fallback": "others"}
        )  # fmt: skip
        with notifiers(kafka, tmp_path, file) as start:
            start()
            await emit(kafka, changed("firing", 20))
            await eventually("the fallback is told", lambda: _has(taken, 1))
        told = await planned(kafka)
    assert [one["type"] for one in told[:3]] == ["planned", "failed", "planned"]
    assert "answers 404" in told[1]["why"]
    assert url not in str(told)


async def test_another_notifier_goes_on_where_one_was_killed_and_nothing_is_lost_or_told_twice(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    await create_topics(kafka, TOPICS)
    async with receiver() as (taken, url):
        with notifiers(kafka, tmp_path, routes(tmp_path / "notify.yaml", {"team": url}, QUICK)) as start:
            first = start()
            await emit(kafka, changed("firing", 20, source="web-0"))
            await eventually("it is told", lambda: _has(taken, 1))
            start()
            taken.holds = asyncio.Event()
            await emit(kafka, *(changed("firing", 20, source=f"web-{n}") for n in range(1, 30)))
            first.kill()
            await emit(kafka, *(changed("ok", 90, source=f"web-{n}") for n in range(10)))
            taken.holds.set()
            taken.holds = None
            await eventually("all is told", lambda: _stands(taken, {f"web-{n}" for n in range(10, 30)}), within_s=60)
    # Each notice tells one host: what was told twice was told under one id.
    assert len(taken.transitions) == len(set(taken.transitions))


async def test_what_is_silenced_or_explained_is_not_told_until_it_no_longer_is(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    await create_topics(kafka, TOPICS)
    silence = Silence(
        id="silence/a", version=1, at_ms=now_ms(), by="ada", comment="known",
        matchers=[parse_matcher("source=web-1")], starts_ms=now_ms(), ends_ms=now_ms() + 3_600_000,
    )  # fmt: skip
    await publish(kafka, [silence])
    async with receiver() as (taken, url):
        with notifiers(kafka, tmp_path, routes(tmp_path / "notify.yaml", {"team": url}, QUICK)) as start:
            notifier = start()
            silent = changed("firing", 15, rule="source-silent", source="web-2", episode_s=5)
            await emit(kafka, changed("firing", 20), silent, changed("firing", 20, source="web-2"))
            await eventually("the silent machine is told", lambda: _has(taken, 1))
            await eventually("two are held back", lambda: _held_back(kafka, 2))
            assert taken.transitions == ["web-2 firing"]
            await publish(kafka, [silence.model_copy(update={"version": 2, "ends_ms": now_ms()})])
            await eventually("the silence is over", lambda: _has(taken, 2), within_s=40)
            await emit(kafka, changed("ok", 90, rule="source-silent", source="web-2"))
            await eventually("what it explained is told", lambda: _has(taken, 4), within_s=40)
            assert notifier.stop() == 0
        told = {tuple(one["by"]) for one in await planned(kafka) if one["type"] == "suppressed"}
    assert told == {("silence/a",), (f"alert/{silent.alert}",)}
    assert sorted(taken.transitions) == ["web-1 firing", "web-2 firing", "web-2 firing", "web-2 ok"]


async def test_without_receivers_it_says_so_and_does_nothing(kafka: KafkaConfig, tmp_path: Path) -> None:
    with notifiers(kafka, tmp_path, tmp_path) as start:
        notifier = start(WATCHKEEPER_NOTIFY_FILE="")
        await eventually("it says so", lambda: _says(notifier, "Nobody is told of alerts"))
        assert notifier.stop() == 0


async def _held_back(kafka: KafkaConfig, count: int) -> bool:
    return len({one["alert"] for one in await planned(kafka) if one["type"] == "suppressed"}) >= count


async def _has(taken: Taken, count: int) -> bool:
    return len(taken.transitions) >= count


async def _stands(taken: Taken, sources: set[str]) -> bool:
    known: dict[str, str] = {}
    for one in taken.transitions:
        source, state = one.split()
        known[source] = state
    return {source for source, state in known.items() if state == "firing"} == sources


async def _says(notifier: Process, text: str) -> bool:
    return text in notifier.said()


async def test_one_that_is_told_to_stop_while_kafka_is_gone_says_so_in_a_sentence(tmp_path: Path) -> None:
    broker = new_broker("tansu", tmp_path)
    broker.start()
    try:
        kafka = config_of(broker)
        await create_topics(kafka, TOPICS)
        async with receiver() as (taken, url):
            with notifiers(kafka, tmp_path, routes(tmp_path / "notify.yaml", {"team": url}, QUICK)) as start:
                notifier = start(WATCHKEEPER_NOTIFY_DRAIN="true")
                await emit(kafka, changed("firing", 20))
                await eventually("it works", lambda: _has(taken, 1))
                broker.stop(5.0)
                assert notifier.stop() == 1
                said = notifier.said()
    finally:
        broker.stop(5.0)
    assert "Kafka is away while this notifier stops, the next one goes on" in said
    assert said.splitlines()[-1] == "watchkeeper: not every change of an alert is planned; the next notifier goes on"
    assert "Traceback" not in said
