"""What a new embedded broker is told again."""

from collections.abc import Iterator

from agents.ownership import Owned
from connect.clickhouse import Store
from connect.clock import now_ms
from schemas.alerts import AlertState, MemoryBucket, MemoryChunk, Severity, State
from schemas.control import RuleApplied, RuleControl
from schemas.notifications import Delivered, Planned
from schemas.rules import ThresholdRule
from schemas.topics import ALERT_STATES, CONTROL, NOTIFICATIONS
from sinks.clickhouse.restore import load_control, load_memory, load_notices, load_states
from sinks.clickhouse.tables import tables
from tests.notify.notices import notice
from tests.sinks.rollups import Message
from tests.sinks.stored import insert


def test_of_each_rule_its_newest_version_and_nothing_of_what_was_applied_when(store: Store) -> None:
    rules = [
        RuleControl(id="rule/busy", version=version, at_ms=version, by="x", rule=rule)
        for version, rule in ((1, ThresholdRule(id="busy", metric="m", warning=0.5)), (2, None))
    ]
    applied = RuleApplied(id="applied/busy", version=1, from_ms=10_000)
    table = tables()[CONTROL.name]
    values = [one.model_dump_json().encode() for one in (*rules, applied)]
    insert(store, table, table.read([Message(value, topic=CONTROL.name) for value in values], ""))

    assert load_control(store) == [rules[1]]
    assert store.rows("SELECT count() FROM watchkeeper.monitoring_thresholds") == [(0,)]


def test_what_a_rule_remembers_comes_back_as_it_was_written_last_in_whatever_incarnation(store: Store) -> None:
    table, hour_ms = tables()[ALERT_STATES.name], now_ms() // 3_600_000 * 3_600_000
    chunks = [
        MemoryChunk(
            rule="r", entity={"source": "web"}, basis="0" * 16, slot=slot,
            buckets=[MemoryBucket(start_ms=start_ms, n=1, value=value)],
        )
        for slot, start_ms, value in (
            (1, hour_ms, 1.0), (1, hour_ms, 2.0), (2, hour_ms - 86_400_000, 3.0), (3, hour_ms - 50 * 86_400_000, 4.0)
        )
    ]  # fmt: skip
    state = AlertState(
        alert="a" * 16, rule="r", rule_version=1, entity={}, state=State.FIRING, severity=Severity.WARNING
    )
    for number, (one, epoch) in enumerate(zip([*chunks, state], ("old", "new", "old", "old", "new"), strict=True)):
        message = Owned.memory_message(one, 2) if isinstance(one, MemoryChunk) else None
        key, value = (
            (message.key, message.value) if message else (state.alert.encode(), state.model_dump_json().encode())
        )
        given = Message(value, topic=ALERT_STATES.name, key=key, timestamp=hour_ms + number)
        insert(store, table, table.read([given], epoch))

    assert load_memory(store) == [chunks[1], chunks[2]]
    assert load_states(store) == [state]


def test_of_each_group_the_last_notice_if_it_may_still_stand_and_whatever_is_under_way(store: Store) -> None:
    records = [
        *_notice("old", "firing", at_ms=1_000, group="disk"),
        *_notice("new", "firing", at_ms=2_000, group="disk"),
        *_notice("open", "resolved", at_ms=3_000, group="cpu", ended=False),
        *_notice("over", "resolved", at_ms=4_000, group="load"),
    ]
    table = tables()[NOTIFICATIONS.name]
    values = [one.model_dump_json().encode() for one in records]
    insert(store, table, table.read([Message(value, topic=NOTIFICATIONS.name) for value in values], ""))

    assert load_notices(store) == [(_id("new"), values[2]), (_id("new"), values[3]), (_id("open"), values[4])]
    assert store.rows("SELECT id, state, latency_s FROM watchkeeper.notifications ORDER BY planned_at") == [
        (_id("old"), "delivered", 0.5),
        (_id("new"), "delivered", 0.5),
        (_id("open"), "under way", None),
        (_id("over"), "delivered", 0.5),
    ]


def _id(name: str) -> str:
    return name.encode().hex().rjust(32, "0")


def _notice(name: str, status: str, *, at_ms: int, group: str, ended: bool = True) -> Iterator[Planned | Delivered]:
    about = {"id": _id(name), "at_ms": at_ms, "status": status, "group": {"alertname": group}}
    yield Planned(notice=notice(**about))
    if ended:
        yield Delivered(id=_id(name), receiver="team", at_ms=at_ms + 500, attempts=1, latency_ms=500)
