"""What the views tell of incidents, and what a new embedded broker is told of them again."""

from typing import Any

from connect.clickhouse import Store
from engine.incidents import Grouping, Incidents
from schemas.alerts import Outcome, State, Transition
from schemas.incidents import Action, IncidentAction, IncidentEvent
from schemas.topics import ALERTS, INCIDENTS
from sinks.clickhouse.incident_history import events_of, incidents, named
from sinks.clickhouse.restore import load_incidents
from tests.engine.alerting import changed
from tests.sinks.rollups import BASE_MS
from tests.sinks.stored import insert_records

BASE_S = BASE_MS // 1000


def fired(to_state: str, after_s: int, **fields: Any) -> Transition:
    entity = {"source": fields.get("source", "web-1"), "service": "shop"}
    return changed(to_state, BASE_S + after_s, episode_s=BASE_S - 10, entity=entity, **fields)


def asked(event: IncidentEvent, action: Action, after_s: int, **fields: Any) -> IncidentAction:
    at_ms = (BASE_S + after_s) * 1000
    return IncidentAction(
        id=f"{at_ms:032x}", incident=event.incident.id, action=action, at_ms=at_ms, by="ada", **fields
    )


def test_each_incident_is_a_row_with_how_soon_it_was_detected_acknowledged_and_resolved(store: Store) -> None:
    machine = Incidents(Grouping())
    cpu, disk = fired("firing", 0), fired("firing", 5, rule="disk-full", severity="warning")
    slow = fired("firing", 0, rule="slow", source="db-1")
    events = [*machine.take(cpu), *machine.take(disk)]
    acknowledged, resolved = asked(events[0], Action.ACKNOWLEDGE, 60), asked(events[0], Action.RESOLVE, 300)
    over = fired("ok", 200, rule="disk-full", severity="warning")
    events += [*machine.act(acknowledged), *machine.take(over), *machine.act(resolved)]
    later = Incidents(Grouping(join_by=()))
    other = [*later.take(slow), *later.take(fired("ok", 1_200, rule="slow", source="db-1"))]
    insert_records(store, ALERTS.name, [cpu, disk, over, slow])
    # Twice, as after a crash.
    insert_records(store, INCIDENTS.name, [*events, acknowledged, resolved, *other, *events])

    sql = (
        "SELECT status, resolved_by, assigned_to, rules, detect_s, acknowledge_s, resolve_s FROM watchkeeper.incidents"
    )
    assert sorted(store.rows(sql)) == [
        ("resolved", "", "", ["slow"], 10.0, None, 1200.0),
        ("resolved", "ada", "ada", ["cpu-busy", "disk-full"], 10.0, 60.0, 300.0),
    ]
    response = "SELECT name, incidents, mttr_s, share_within_15m FROM watchkeeper.incident_response ORDER BY name"
    assert store.rows(response) == [
        ("cpu-busy", 1, 300.0, 1.0), ("disk-full", 1, 300.0, 1.0), ("shop", 2, 750.0, 0.5), ("slow", 1, 1200.0, 0.0),
    ]  # fmt: skip
    resolvers = "SELECT alert_type, resolved_by FROM watchkeeper.monitoring_alerts ORDER BY alert_type"
    assert store.rows(resolvers) == [("cpu-busy", "ada"), ("disk-full", None), ("slow", None)]
    takers = "SELECT rule, acknowledged_by, acknowledge_s FROM watchkeeper.alert_response ORDER BY rule"
    assert store.rows(takers) == [("cpu-busy", "ada", 60.0), ("disk-full", "ada", 55.0), ("slow", "", None)]
    changes = (
        f"SELECT change FROM watchkeeper.incident_events WHERE incident = '{events[0].incident.id}' ORDER BY version"
    )
    assert [one for (one,) in store.rows(changes)] == ["opened", "joined", "acknowledged", "updated", "resolved"]
    assert events_of(store, events[0].incident.id) == events
    assert named(store, events[0].incident.id[:6]) == [events[-1].incident]
    assert incidents(store, resolved_too=False, limit=9) == []


def test_of_each_episode_it_is_told_whether_its_end_was_seen_and_how_often_it_fell_back(store: Store) -> None:
    states = [("pending", "firing", 0), ("firing", "recovering", 30), ("recovering", "firing", 40)]
    states += [("firing", "recovering", 50), ("recovering", "ok", 70)]
    seen = [fired(to, after_s, from_state=State(origin)) for origin, to, after_s in states]
    gone = {"rule": "disk-full", "from_state": State.FIRING, "outcome": Outcome.UNDEFINED}
    withdrawn = [fired("firing", 0, rule="disk-full"), fired("ok", 20, **gone)]
    stands = [fired("firing", 0, rule="slow")]
    opened = Incidents(Grouping()).take(seen[0])
    insert_records(store, ALERTS.name, [*seen, *withdrawn, *stands])
    insert_records(store, INCIDENTS.name, opened)

    sql = "SELECT rule, duration_s, verified, relapses, incident FROM watchkeeper.alert_recovery ORDER BY rule"
    assert store.rows(sql) == [
        ("cpu-busy", 70.0, 1, 1, opened[0].incident.id), ("disk-full", 20.0, 0, 0, ""), ("slow", None, None, 0, ""),
    ]  # fmt: skip


def test_a_new_broker_is_told_of_open_incidents_and_of_what_was_asked_and_not_answered(store: Store) -> None:
    machine = Incidents(Grouping())
    opened = machine.take(fired("firing", 0))
    answered, waiting = asked(opened[0], Action.COMMENT, 10), asked(opened[0], Action.RESOLVE, 20)
    events = [*opened, *machine.act(answered)]
    insert_records(store, INCIDENTS.name, [answered, *events, waiting])

    id_ = opened[0].incident.id
    assert load_incidents(store) == [(id_, one.model_dump_json().encode()) for one in (events[-1], waiting)]
