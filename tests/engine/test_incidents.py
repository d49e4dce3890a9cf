"""Incidents: timelines, and what holds whatever happens."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.incidents import Grouping, Incidents
from schemas.alerts import Amendment, Severity, State, Transition
from schemas.control import Acknowledgement
from schemas.incidents import MAX_ALERTS, Action, Change, Incident, IncidentAction, IncidentEvent, Status
from tests.engine.alerting import changed

MINUTE = 60


def play(incidents: Incidents, *inputs: Transition | IncidentAction | Acknowledgement) -> list[IncidentEvent]:
    events = []
    for one in inputs:
        if isinstance(one, Transition):
            events += incidents.take(one)
        elif isinstance(one, IncidentAction):
            events += incidents.act(one)
        else:
            events += incidents.acknowledge(one)
    return events


def told(events: Sequence[IncidentEvent]) -> list[str]:
    return [f"{one.change} {one.incident.status} {one.incident.severity}" for one in events]


def asked(incident: Incident, action: Action, at_s: int, **fields: Any) -> IncidentAction:
    id_ = f"{at_s:08x}{list(Action).index(action):024x}"
    return IncidentAction(id=id_, incident=incident.id, action=action, at_ms=at_s * 1000, by="ada", **fields)


def taken_care_of(transition: Transition, at_s: int, **fields: Any) -> Acknowledgement:
    return Acknowledgement(
        id=f"acknowledgement/{transition.alert}", version=1, at_ms=at_s * 1000, by="ada",
        episode_ms=transition.episode_ms, **fields,
    )  # fmt: skip


ALONE = changed("firing", 20)
TIMELINES = {
    "an incident opens with its first alert and is over with its last": (
        [
            changed("pending", 10),
            changed("firing", 20),
            changed("firing", 30, rule="disk-full", severity="warning"),
            changed("recovering", 40),
            changed("ok", 50),
            changed("ok", 60, rule="disk-full", severity="warning"),
        ],
        [
            "opened open critical", "joined open critical", "updated open critical", "updated open warning",
            "resolved resolved warning",
        ],
    ),
    "an alert whose data stopped is not over": (
        [changed("firing", 20), changed("stale", 60)],
        ["opened open critical", "updated open critical"],
    ),
    "alerts of another machine are another incident": (
        [changed("firing", 20), changed("firing", 20, source="web-2")],
        ["opened open critical", "opened open critical"],
    ),
    "an alert that comes long after is another incident": (
        [changed("firing", 20), changed("firing", 20 + 6 * MINUTE, rule="disk-full")],
        ["opened open critical", "opened open critical"],
    ),
    "an alert that fires again soon reopens its incident, and a relapse is counted": (
        [changed("firing", 20), changed("ok", 50), changed("firing", 20 * MINUTE, episode_s=20 * MINUTE)],
        ["opened open critical", "resolved resolved critical", "reopened open critical"],
    ),
    "an alert that fires again late opens another": (
        [changed("firing", 20), changed("ok", 50), changed("firing", 40 * MINUTE, episode_s=40 * MINUTE)],
        ["opened open critical", "resolved resolved critical", "opened open critical"],
    ),
    "what came and went before anybody was told opens nothing": (
        [changed("pending", 10), changed("ok", 20), changed("stale", 30)],
        [],
    ),
    "what late data would have changed opens nothing": (
        [changed("firing", 20, amends=Amendment(decided=Severity.NONE, instead=Severity.CRITICAL))],
        [],
    ),
    "an end of an episode that the incident does not know changes nothing": (
        [changed("firing", 20), changed("ok", 50), changed("ok", 90, episode_s=80)],
        ["opened open critical", "resolved resolved critical"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("inputs", "expected"), TIMELINES.values(), ids=TIMELINES.keys())
def test_timelines_of_alerts(inputs: list[Transition], expected: list[str]) -> None:
    assert told(play(Incidents(Grouping()), *inputs)) == expected


def test_times_and_relapses_stand_in_the_incident() -> None:
    incidents = Incidents(Grouping())

    last = play(
        incidents,
        *(changed("firing", 20), changed("recovering", 40), changed("firing", 50), changed("ok", 70)),
        changed("firing", 200, episode_s=190),
    )[-1].incident

    assert (last.began_ms, last.opened_ms, last.reopened_ms, last.resolved_ms) == (10_000, 20_000, 200_000, 0)
    assert (last.reopened, last.alerts[0].relapses, last.alerts[0].fired_ms) == (1, 2, 20_000)


def test_of_several_incidents_an_alert_joins_the_one_that_changed_last() -> None:
    incidents = Incidents(Grouping(join_by=("host", "service")))
    one = changed("firing", 20, entity={"host": "a"})
    other = changed("firing", 30, source="web-2", entity={"service": "shop"})
    both = changed("firing", 40, source="web-3", entity={"host": "a", "service": "shop"})

    events = play(incidents, one, other, both)

    assert events[2].incident.id == events[1].incident.id


def test_an_incident_holds_so_many_alerts_and_what_comes_then_opens_another() -> None:
    incidents = Incidents(Grouping())

    events = play(incidents, *(changed("firing", 20, rule=f"rule-{n}") for n in range(MAX_ALERTS + 2)))

    assert Counter(one.change for one in events) == {"opened": 2, "joined": MAX_ALERTS}
    assert len(events[-1].incident.alerts) == 2


def test_people_take_care_of_it_and_the_first_of_them_counts() -> None:
    incidents = Incidents(Grouping())
    (opened,) = play(incidents, ALONE)
    about = opened.incident

    first, second, said = play(
        incidents,
        asked(about, Action.ACKNOWLEDGE, 60),
        asked(about, Action.ASSIGN, 70, assigned_to="bob"),
        asked(about, Action.COMMENT, 80, comment="disk ordered"),
    )

    assert (first.change, first.by, first.incident.assigned_to) == (Change.ACKNOWLEDGED, "ada", "ada")
    assert (second.incident.acknowledged_ms, second.incident.assigned_to) == (60_000, "bob")
    assert (said.change, said.comment, said.incident.version) == (Change.COMMENTED, "disk ordered", 4)


def test_a_person_resolves_it_and_its_alert_reopens_it_only_when_it_is_worse_or_comes_again() -> None:
    incidents = Incidents(Grouping())
    warning: Any = {"severity": "warning"}
    (opened,) = play(incidents, changed("firing", 20, **warning))

    events = play(
        incidents,
        asked(opened.incident, Action.RESOLVE, 60),
        changed("stale", 70, **warning),
        changed("firing", 80, **warning),
        changed("firing", 3 * 3600),
        asked(opened.incident, Action.RESOLVE, 3 * 3600 + 60),
        changed("recovering", 3 * 3600 + 70),
        changed("firing", 3 * 3600 + 80),
    )

    assert told(events) == [
        "resolved resolved warning", "updated resolved warning", "updated resolved warning", "reopened open critical",
        "resolved resolved critical", "updated resolved critical", "reopened open critical",
    ]  # fmt: skip
    assert events[0].incident.resolved_by == "ada"


def test_a_person_reopens_it_and_nobody_takes_care_of_it_then() -> None:
    incidents = Incidents(Grouping())
    opened = play(incidents, ALONE)[0].incident

    events = play(
        incidents,
        asked(opened, Action.ACKNOWLEDGE, 30),
        asked(opened, Action.RESOLVE, 40),
        asked(opened, Action.ACKNOWLEDGE, 50),
        asked(opened, Action.REOPEN, 60),
        asked(opened, Action.REOPEN, 70),
    )

    assert [one.change for one in events] == ["acknowledged", "resolved", "ignored", "reopened", "ignored"]
    assert (events[-1].incident.acknowledged_ms, events[-1].incident.status) == (0, Status.OPEN)


def test_what_is_snoozed_is_held_back_until_then() -> None:
    incidents = Incidents(Grouping())
    opened = play(incidents, ALONE)[0].incident
    play(incidents, asked(opened, Action.SNOOZE, 30, until_ms=90_000))

    assert incidents.snoozed(ALONE.alert, 89_999) == opened.id
    assert incidents.snoozed(ALONE.alert, 90_000) is None
    assert incidents.snoozed("0" * 16, 0) is None


def test_an_action_on_an_incident_that_is_not_known_says_nothing() -> None:
    assert play(Incidents(Grouping()), asked(play(Incidents(Grouping()), ALONE)[0].incident, Action.RESOLVE, 30)) == []


def test_an_acknowledgement_of_an_alert_is_one_of_its_incident_before_and_after_it_opened() -> None:
    incidents = Incidents(Grouping())
    record = taken_care_of(ALONE, 60, assigned_to="bob", comment="mine")

    events = play(incidents, record, ALONE, record)

    assert [one.change for one in events] == ["opened", "acknowledged"]
    assert (events[1].incident.assigned_to, events[1].comment) == ("bob", "mine")


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(taken_care_of(changed("firing", 20, episode_s=5), 60), id="of another episode"),
        pytest.param(taken_care_of(ALONE, 40), id="of before it was reopened"),
    ],
)
def test_an_acknowledgement_that_no_longer_concerns_it_is_passed_over(record: Acknowledgement) -> None:
    incidents = Incidents(Grouping())
    opened = play(incidents, ALONE)[0].incident
    play(incidents, asked(opened, Action.RESOLVE, 30), asked(opened, Action.REOPEN, 50))

    assert play(incidents, record) == []


def test_a_step_of_escalation_is_noted_once_and_anew_when_the_incident_is_reopened() -> None:
    incidents = Incidents(Grouping())
    opened = play(incidents, ALONE)[0].incident

    assert [one.change for one in incidents.escalated(opened.id, "20000/lead", 90_000)] == ["escalated"]
    assert incidents.escalated(opened.id, "20000/lead", 95_000) == []
    play(incidents, asked(opened, Action.RESOLVE, 100))
    assert incidents.escalated(opened.id, "20000/other", 110_000) == []
    assert play(incidents, asked(opened, Action.REOPEN, 120))[0].incident.escalated == []


def test_of_resolved_incidents_the_last_ones_are_known() -> None:
    incidents = Incidents(Grouping(), kept=1)
    first = play(incidents, ALONE, changed("ok", 30))[-1].incident
    second = play(incidents, changed("firing", 20, source="web-2"), changed("ok", 30, source="web-2"))[-1].incident

    assert incidents.get(first.id) is None
    assert incidents.get(second.id) == second
    assert play(incidents, ALONE) == [], "a repeat opens nothing, whatever was forgotten"


def test_an_older_version_that_comes_late_is_passed_over() -> None:
    first, last = play(Incidents(Grouping()), ALONE, changed("recovering", 40))
    again = Incidents(Grouping())
    again.restore(last)
    again.restore(first)

    assert again.get(first.incident.id) == last.incident


def test_an_alert_stays_with_its_newest_incident_when_an_older_one_is_spoken_of() -> None:
    grouping = Grouping()
    late = changed("firing", 50 * MINUTE, episode_s=50 * MINUTE)
    incidents = Incidents(grouping)
    events = play(incidents, ALONE, changed("ok", 30), late)
    events += play(incidents, asked(events[0].incident, Action.COMMENT, 51 * MINUTE))

    again = Incidents(grouping, kept=0)
    for one in events:
        again.restore(one)

    for each in (incidents, again):
        assert each.holder(ALONE.alert) == events[2].incident


SOURCES, RULES = ("a", "b"), ("cpu", "disk")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["firing", "firing", "recovering", "ok", "stale", "act"]),
        st.sampled_from(SOURCES), st.sampled_from(RULES), st.integers(1, 900), st.sampled_from(list(Action)),
        st.sampled_from(["warning", "critical"]),
    ),
    max_size=40,
)  # fmt: skip


def script(steps: list[tuple[str, str, str, int, Action, str]]) -> list[Transition | IncidentAction]:
    """Transitions as an evaluator gives them: an episode ends before another begins."""
    at_s, episodes, inputs = 10, dict[tuple[str, str], int](), list[Transition | IncidentAction]()
    scratch = Incidents(Grouping())
    for kind, source, rule, wait_s, action, severity in steps:
        at_s += wait_s
        if kind == "act":
            known = [*scratch.open(), *scratch._resolved.values()]
            inputs += [asked(known[at_s % len(known)], action, at_s, until_ms=at_s * 1000 + 60_000)] if known else []
        elif kind == "firing" or (source, rule) in episodes:
            episode_s = episodes.setdefault((source, rule), at_s)
            inputs.append(changed(kind, at_s, rule=rule, source=source, episode_s=episode_s, severity=severity))
            if kind == "ok":
                del episodes[source, rule]
        play(scratch, *inputs[-1:])
    return inputs


@given(steps=STEPS)
def test_every_firing_alert_is_in_exactly_one_open_incident_unless_a_person_resolved_it(steps: Any) -> None:
    incidents = Incidents(Grouping())
    firing: dict[str, Transition] = {}
    for one in script(steps):
        play(incidents, one)
        if isinstance(one, Transition):
            firing[one.alert] = one
        holding = Counter(
            member.alert for open_ in incidents.open() for member in open_.alerts if member.state is State.FIRING
        )
        for alert, newest in firing.items():
            if newest.to_state is not State.FIRING:
                assert holding[alert] == 0
                continue
            held = incidents.get(incidents._of[alert])
            assert held is not None
            assert holding[alert] == (1 if held.status is Status.OPEN else 0)
            assert held.status is Status.OPEN or held.resolved_by == "ada"


@given(steps=STEPS, cut=st.integers(0, 60), repeated=st.integers(0, 60))
def test_a_replay_and_a_restart_that_repeats_input_give_the_same_events(steps: Any, cut: int, repeated: int) -> None:
    inputs = script(steps)
    whole = play(Incidents(Grouping()), *inputs)
    assert play(Incidents(Grouping()), *(each for one in inputs for each in (one, one))) == whole

    before = play(Incidents(Grouping()), *inputs[:cut])
    after = Incidents(Grouping())
    for one in before:
        after.restore(one)
    assert before + play(after, *inputs[max(0, cut - repeated) :]) == whole
    assert len({one.id for one in whole}) == len(whole)


@given(steps=STEPS)
def test_versions_of_an_incident_count_up_by_one(steps: Any) -> None:
    seen: Counter[str] = Counter()
    for one in play(Incidents(Grouping()), *script(steps)):
        seen[one.incident.id] += 1
        assert one.incident.version == seen[one.incident.id]
