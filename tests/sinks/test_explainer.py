"""Reasons in notices: what ClickHouse tells in time, and pages that do not wait for more."""

import asyncio
import socket
import time

import pytest
from prometheus_client import CollectorRegistry

from connect.clickhouse import Store
from connect.config import ClickHouseConfig
from schemas.alerts import State, Transition
from schemas.control import RuleApplied, RuleControl
from schemas.events import UserEvent
from schemas.notifications import Notice, Planned
from sinks.notify.explainer import Explainer
from sinks.notify.metrics import Metrics
from sinks.notify.receivers.texts import text
from tests.sinks.rollups import BASE_MS
from tests.sinks.test_explanations import FAULT_MS, MINUTE_MS, RATIO, hour, put, store_records, transition

pytestmark = pytest.mark.asyncio


def metrics() -> Metrics:
    return Metrics(CollectorRegistry(), [])


def notice(*alerts: Transition, status: str = "firing", repeat: bool = False) -> Planned:
    about = {"id": "0" * 32, "receiver": "team", "route": "", "group": {}, "status": status, "at_ms": FAULT_MS}
    made = Notice.model_validate({**about, "alerts": list(alerts), "repeat": repeat})
    return Planned(notice=made, includes=[one.id for one in alerts])


def deploy(service: str, minute: int) -> bytes:
    at_ms = BASE_MS + minute * MINUTE_MS
    event = UserEvent(
        v=1, source="ci", boot="b", seq=minute, sent_ms=at_ms, at_ms=at_ms,
        user="ada", event="deploy", service=service, attributes={"version": "2.1"},
    )  # fmt: skip
    return event.model_dump_json().encode()


async def test_a_notice_says_what_is_to_blame_what_was_changed_and_where_to_look(
    cleared: Store, clickhouse: ClickHouseConfig
) -> None:
    rule = RATIO.model_copy(update={"over_ms": MINUTE_MS, "description": "Requests fail."})
    put(cleared, hour(pay_eu_fails=60))
    control = RuleControl(id=f"rule/{rule.id}", version=1, at_ms=BASE_MS, by="ada", rule=rule)
    applied = RuleApplied(id=f"applied/{rule.id}", version=1, from_ms=BASE_MS)
    store_records(cleared, "control", [one.model_dump_json().encode() for one in (control, applied)])
    store_records(cleared, "events.user", [deploy("shop", 33), deploy("mail", 34)])
    explainer = Explainer(clickhouse, metrics(), within_s=20, dashboard_url="https://watch.example.org/")

    (found,) = await explainer.explained([notice(transition(rule))])

    (why,) = found.notice.why
    assert why.blamed[0].endswith("region=eu, route=/pay")
    assert why.changes == ["8 min before: deploy of shop (version=2.1)"]
    assert (why.before, why.to_do) == ("not once in the 30 days before", "Requests fail.")
    assert why.link == f"https://watch.example.org/alerts/{transition(rule).alert}"
    assert why.query.startswith("SELECT")
    told = text(found.notice)
    assert "to blame: " in told
    assert "changed 8 min before: deploy of shop (version=2.1)" in told
    explainer.close()


async def test_ends_reminders_and_alerts_of_other_systems_are_not_explained(clickhouse: ClickHouseConfig) -> None:
    explainer = Explainer(clickhouse, metrics(), within_s=20)
    fired = transition(RATIO)
    ended = fired.model_copy(update={"to_state": State.OK})
    others = fired.model_copy(update={"rule": "external.down"})
    plain = [notice(ended, status="resolved"), notice(fired, repeat=True), notice(others)]
    assert await explainer.explained(plain) == plain
    explainer.close()


async def test_a_clickhouse_that_does_not_answer_holds_a_page_up_for_the_time_it_is_given_and_then_not_at_all() -> None:
    registry = CollectorRegistry()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = ClickHouseConfig(host="127.0.0.1", port=silent.getsockname()[1])
        explainer = Explainer(config, Metrics(registry, []), within_s=0.3)
        planned = [notice(transition(RATIO))]
        began_s = time.monotonic()
        assert await explainer.explained(planned) == planned
        # Sooner than the client itself gives up, after a second.
        assert 0.25 < time.monotonic() - began_s < 0.9
        began_s = time.monotonic()
        assert await explainer.explained(planned) == planned
        assert time.monotonic() - began_s < 0.1
    assert registry.get_sample_value("watchkeeper_notify_unexplained_total") == 1
    explainer.close()


async def test_without_a_clickhouse_notices_are_told_as_they_are() -> None:
    planned = [notice(transition(RATIO))]
    for explainer in (Explainer(None, metrics(), within_s=1), Explainer(None, metrics(), within_s=0)):
        assert await asyncio.wait_for(explainer.explained(planned), 1) == planned
        explainer.close()
