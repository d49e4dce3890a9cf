"""Who is told of an incident that nobody takes care of, and when: once each."""

from typing import Any

import pytest

from engine.escalation import Escalation
from engine.incidents import Grouping, Incidents
from engine.routing import tree
from schemas.alerts import Transition
from schemas.incidents import Action, IncidentAction
from schemas.notifications import Notice
from schemas.routes import RouteSettings
from tests.engine.alerting import changed

ROOT = tree(
    RouteSettings.model_validate(
        {
            "receiver": "team",
            "escalate": [{"after": "15m", "receiver": "lead"}, {"after": "30m", "receiver": "boss"}],
            "routes": [{"receiver": "team", "matchers": ["severity=warning"], "escalate": []}],
        }
    )
)
FIRES = changed("firing", 20)
OPENED_MS, MINUTE_MS = 20_000, 60_000


class Desk:
    """Incidents with their escalation, as the notifier has them."""

    def __init__(self, *transitions: Transition, escalation: Escalation | None = None) -> None:
        self.incidents = Incidents(Grouping())
        self.escalation = escalation or Escalation(ROOT)
        self.transitions = transitions
        for one in transitions:
            self.incidents.take(one)

    def told(self, minutes: float, held_back: bool = False) -> list[tuple[str, str]]:
        at_ms = OPENED_MS + int(minutes * MINUTE_MS)
        planned = self.escalation.due(self.incidents, lambda: self.transitions, at_ms, lambda _, __: held_back)
        for taken in self.escalation.taken():
            self.incidents.escalated(*taken)
        self.notices = [one.notice for one in planned]
        return [(one.receiver, one.id) for one in self.notices]

    def act(self, action: Action, minutes: float, **fields: Any) -> None:
        (opened,) = self.incidents.open()
        at_ms = OPENED_MS + int(minutes * MINUTE_MS)
        asked = {"id": f"{at_ms:032x}", "incident": opened.id, "action": action, "at_ms": at_ms, "by": "ada", **fields}
        self.incidents.act(IncidentAction.model_validate(asked))


def names(told: list[tuple[str, str]]) -> list[str]:
    return [receiver for receiver, _ in told]


def test_each_step_is_told_once_when_its_time_has_come() -> None:
    desk = Desk(FIRES)

    assert names(desk.told(14.9)) == []
    assert names(desk.told(15)) == ["lead"]
    assert names(desk.told(29)) == []
    assert names(desk.told(31)) == ["boss"]
    assert names(desk.told(99)) == []


def test_steps_that_were_missed_are_told_together_in_their_order() -> None:
    assert names(Desk(FIRES).told(60)) == ["lead", "boss"]


@pytest.mark.parametrize("action", [Action.ACKNOWLEDGE, Action.ASSIGN])
def test_nobody_is_told_once_somebody_takes_care(action: Action) -> None:
    desk = Desk(FIRES)
    desk.act(action, 10, assigned_to="bob")

    assert desk.told(60) == []


def test_a_route_without_steps_tells_nobody() -> None:
    assert Desk(changed("firing", 20, severity="warning")).told(60) == []
    assert Desk(FIRES, escalation=Escalation(tree(RouteSettings(receiver="team")))).told(60) == []


def test_what_is_held_back_waits() -> None:
    desk = Desk(FIRES)

    assert desk.told(20, held_back=True) == []
    assert names(desk.told(21)) == ["lead"]


def test_an_incident_whose_alerts_are_over_or_unknown_is_not_told() -> None:
    desk = Desk(FIRES, changed("firing", 20, rule="disk-full"), changed("ok", 30))
    desk.transitions = ()

    assert desk.told(60) == []


def test_ids_follow_from_the_incident_and_the_step_and_what_was_planned_before_a_crash_is_not_again() -> None:
    before = Desk(FIRES)
    first = before.told(15)
    assert Desk(FIRES).told(20) == first

    again = Desk(FIRES)
    again.escalation.known(before.notices)
    assert again.told(20) == []
    assert [one.escalated for one in again.incidents.open()] == [[f"{OPENED_MS}/{15 * MINUTE_MS}/lead"]]


def test_the_end_of_an_incident_is_told_once_to_those_who_were_told_of_it() -> None:
    desk = Desk(FIRES)
    desk.told(31)
    desk.incidents.take(changed("ok", 2_500))

    assert names(desk.told(45)) == ["lead", "boss"]
    (over,) = desk.notices[0].alerts
    assert (desk.notices[0].status, over.to_state, over.at_ms) == ("resolved", "ok", 2_500_000)
    assert over.summary == "over: cpu-busy on web-1 is firing"
    assert desk.told(46) == []


def test_an_end_that_was_planned_before_a_crash_is_not_told_again_and_one_that_was_not_is() -> None:
    before = Desk(FIRES)
    before.told(15)
    fired = before.notices
    before.incidents.take(changed("ok", 2_500))
    before.told(45)

    for known, told in ((fired, ["lead"]), ([*fired, *before.notices], [])):
        again = Desk(FIRES, changed("ok", 2_500))
        again.escalation.known(known)
        assert names(again.told(46)) == told


@pytest.mark.parametrize(
    ("steps", "ends"),
    [
        ([("15m", "lead"), ("30m", "lead")], ["lead"]),
        # The route tells the team of the end of the alert.
        ([("15m", "team"), ("30m", "lead")], ["lead"]),
        ([("15m", "team")], []),
    ],
)
def test_one_end_is_told_however_many_steps_told_of_the_incident_and_none_to_whom_routes_tell(
    steps: list[tuple[str, str]], ends: list[str]
) -> None:
    escalate = [{"after": after, "receiver": receiver} for after, receiver in steps]
    root = tree(RouteSettings.model_validate({"receiver": "team", "escalate": escalate}))
    desk = Desk(FIRES, changed("firing", 30, rule="disk-full"), escalation=Escalation(root))
    fired: list[Notice] = []
    for minutes in (16, 31):
        desk.told(minutes)
        fired += desk.notices
    assert len(fired) == len(steps)
    desk.act(Action.RESOLVE, 40)
    assert names(desk.told(41)) == ends
    assert all(len({one.alert for one in notice.alerts}) == 2 for notice in desk.notices)

    again = Escalation(root)
    again.known(fired)
    assert [one.notice for one in again.due(desk.incidents, list, 0, lambda _, __: False)] == desk.notices


def test_an_end_that_was_told_before_a_crash_is_not_once_more_when_the_incident_is_over_again() -> None:
    desk = Desk(FIRES)
    desk.told(15)
    before = desk.notices
    (opened,) = desk.incidents.open()
    desk.act(Action.RESOLVE, 20)
    desk.told(21)
    before += desk.notices
    at_ms = OPENED_MS + 22 * MINUTE_MS
    asked = {"incident": opened.id, "at_ms": at_ms, "by": "ada"}
    for id_, action in (("a" * 32, Action.REOPEN), ("b" * 32, Action.RESOLVE)):
        desk.incidents.act(IncidentAction.model_validate({**asked, "id": id_, "action": action}))

    desk.escalation = Escalation(ROOT)
    desk.escalation.known(before)
    assert desk.told(25) == []


def test_who_did_not_take_the_notice_needs_no_end_and_who_was_told_instead_has_one() -> None:
    desk = Desk(FIRES)
    desk.told(31)
    lead, boss = desk.notices
    desk.escalation.failed(lead.id)
    desk.escalation.known([lead.model_copy(update={"id": "0" * 32, "receiver": "instead"})])
    desk.incidents.take(changed("ok", 2_500))
    assert names(desk.told(45)) == [boss.receiver, "instead"]


def test_notices_of_alerts_alone_have_no_end_here() -> None:
    desk = Desk(FIRES)
    desk.told(15)
    (lead,) = desk.notices
    desk.escalation.known(
        [
            lead.model_copy(
                update={"id": "0" * 32, "receiver": "a", "route": '{source="a escalate 15m"}', "group": {}}
            ),
            lead.model_copy(update={"id": "1" * 32, "receiver": "b", "route": ""}),
        ]
    )
    desk.incidents.take(changed("ok", 2_500))
    assert names(desk.told(45)) == ["lead"]


def test_who_resolved_an_incident_is_said_and_one_that_is_forgotten_has_no_end() -> None:
    desk = Desk(FIRES)
    desk.told(15)
    desk.act(Action.RESOLVE, 20)
    desk.told(21)
    assert desk.notices[0].alerts[0].summary == "over, ada resolved it: cpu-busy on web-1 is firing"

    forgotten = Desk(FIRES)
    forgotten.told(15)
    forgotten.incidents = Incidents(Grouping())
    assert forgotten.told(16) == []


def test_a_reopened_incident_escalates_anew() -> None:
    desk = Desk(FIRES)
    first = desk.told(15)
    desk.act(Action.RESOLVE, 20)
    assert names(desk.told(21)) == ["lead"]
    (known,) = desk.incidents._resolved.values()
    at_ms = OPENED_MS + 40 * MINUTE_MS
    desk.incidents.act(
        IncidentAction(id="f" * 32, incident=known.id, action=Action.REOPEN, at_ms=at_ms, by="ada")
    )  # fmt: skip

    assert desk.told(54) == []
    assert names(desk.told(55)) == ["lead"]
    assert desk.told(55) != first
