"""What is told of alerts, and when: timelines, and what holds whatever happens."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.notices import LOOK_MS, Notices
from engine.routing import tree
from engine.standing import standing_transition, stands
from schemas.alerts import AlertState, Severity, State, Transition
from schemas.notifications import MAX_ALERTS, Planned
from schemas.routes import RouteSettings
from tests.engine.alerting import changed

ROOT = tree(RouteSettings.model_validate({"receiver": "team", "group_interval": "1m", "repeat_interval": "1h"}))
Quiet = Callable[[Transition, int], bool]


class Told:
    """Gives transitions to `Notices`, and remembers what it says."""

    def __init__(self, notices: Notices | None = None) -> None:
        self.notices = notices or Notices(ROOT)
        self.planned: list[Planned] = []

    def at(self, at_s: float, *transitions: Transition, quiet: Quiet = lambda _transition, _at_ms: False) -> list[str]:
        """What is said at a time: status, alerts, which of them are told first."""
        for transition in transitions:
            self.notices.take(transition, int(at_s * 1000))
        planned = self.notices.plan(int(at_s * 1000), quiet)
        self.planned += planned
        return [_said(one) for one in planned]

    def again(self) -> "Told":
        """Another one, to which all notices are given back."""
        other = Told()
        for one in self.planned:
            other.notices.restore(Planned.model_validate_json(one.model_dump_json()))
        return other


def _said(planned: Planned) -> str:
    notice = planned.notice
    first = [f"{one.entity['source']} {one.to_state}" for one in notice.alerts if one.id in planned.includes]
    return f"{notice.status}{' again' if notice.repeat else ''} {len(notice.alerts)}: {', '.join(sorted(first))}"


def test_the_first_notice_waits_a_second_for_others() -> None:
    told = Told()
    assert told.at(20, changed("firing", 20)) == []
    assert told.notices.due_ms() == 21_000
    assert told.at(20.5, changed("firing", 20, source="web-2")) == []
    assert told.at(21) == ["firing 2: web-1 firing, web-2 firing"]
    assert told.at(22) == []


def test_later_ones_of_a_group_wait_for_the_interval() -> None:
    told = Told()
    told.at(20, changed("firing", 20))
    told.at(21)
    assert told.at(30, changed("firing", 30, source="web-2")) == []
    assert told.at(80.9) == []
    assert told.at(81) == ["firing 2: web-2 firing"]


def test_groups_do_not_wait_for_each_other() -> None:
    told = Told()
    told.at(20, changed("firing", 20))
    told.at(21)
    told.at(30, changed("firing", 30, rule="disk-used"))
    assert told.at(31) == ["firing 1: web-1 firing"]


def test_an_end_is_told_once_and_the_group_is_forgotten() -> None:
    told = Told()
    told.at(20, changed("firing", 20))
    told.at(21)
    told.at(90, changed("ok", 90))
    assert told.at(91) == ["resolved 1: web-1 ok"]
    assert told.notices.due_ms() is None
    assert told.at(100_000) == []


def test_what_came_and_went_before_anybody_was_told_is_not_told() -> None:
    told = Told()
    told.at(20, changed("firing", 20), changed("ok", 20, revision=1))
    assert told.at(1_000) == []


def test_pending_recovering_and_stale_are_nothing_new() -> None:
    told = Told()
    assert told.at(10, changed("pending", 10), changed("stale", 12), changed("ok", 15)) == []
    assert told.at(19) == []
    told.at(20, changed("firing", 20))
    told.at(21)
    assert told.at(100, changed("recovering", 90), changed("firing", 95), changed("stale", 100)) == []
    assert told.at(300) == []


def test_an_alert_that_gets_worse_is_told_again() -> None:
    told = Told()
    told.at(20, changed("firing", 20, severity="warning"))
    told.at(21)
    told.at(30, changed("firing", 30, severity="critical"))
    assert told.at(81) == ["firing 1: web-1 firing"]


def test_an_alert_that_gets_less_bad_is_no_news_nor_is_it_when_it_is_as_bad_again() -> None:
    told = Told()
    told.at(20, changed("firing", 20))
    told.at(21)
    told.at(100, changed("firing", 100, severity="warning"))
    assert told.at(300) == []
    told.at(400, changed("firing", 400, severity="critical"))
    assert told.at(600) == []
    told.at(700, changed("ok", 700))
    assert told.at(701) == ["resolved 1: web-1 ok"]


def test_that_an_alert_goes_to_and_fro_is_told_once() -> None:
    told = Told()
    told.at(20, changed("firing", 20))
    told.at(21)
    told.at(90, changed("firing", 90, flapping=True))
    assert told.at(91) == ["firing 1: web-1 firing"]
    assert told.at(400) == []


def test_an_alert_that_ends_and_comes_again_between_two_notices_is_told_again() -> None:
    told = Told()
    told.at(20, changed("firing", 20))
    told.at(21)
    told.at(60, changed("ok", 50), changed("firing", 60, episode_s=60))
    assert told.at(81) == ["firing 1: web-1 firing"]


def test_who_still_fires_is_told_again_after_a_while() -> None:
    told = Told()
    told.at(20, changed("firing", 20))
    told.at(21)
    assert told.notices.due_ms() == 3_621_000
    assert told.at(3_621) == ["firing again 1: "]
    assert told.at(3_622) == []


def test_nobody_is_reminded_of_what_somebody_takes_care_of_and_its_end_is_told() -> None:
    told = Told()
    told.at(20, changed("firing", 20, severity="warning"))
    told.at(21)
    told.at(30, changed("firing", 30, rule="disk-used"))
    told.at(31)
    told.notices.acknowledge(changed("firing", 20).alert, 10_000)
    assert told.notices.due_ms() == 3_631_000
    assert told.at(3_630) == []
    assert told.at(3_631) == ["firing again 1: "]
    told.at(4_000, changed("firing", 4_000, severity="critical"))
    assert told.at(4_001) == ["firing 1: web-1 firing"]
    told.at(5_000, changed("ok", 5_000))
    assert told.at(5_001) == ["resolved 1: web-1 ok"]


def test_an_acknowledgement_is_of_one_episode_and_may_come_before_the_alert_is_known_here() -> None:
    told = Told()
    told.notices.acknowledge(changed("firing", 20).alert, 10_000)
    told.at(20, changed("firing", 20), changed("firing", 20, source="web-2"))
    told.at(21)
    assert told.at(3_700) == ["firing again 2: "]
    told.at(3_800, changed("ok", 3_800, source="web-2"))
    told.at(3_801)
    assert told.at(9_000) == []
    told.at(9_100, changed("ok", 9_100))
    told.at(9_200, changed("firing", 9_200, episode_s=9_190))
    told.at(9_300)
    assert told.at(20_000) == ["firing again 1: "]


def test_what_is_suppressed_is_told_when_it_no_longer_is() -> None:
    told = Told()
    until_35: Quiet = lambda one, at_ms: one.entity["source"] == "web-1" and at_ms < 35_000  # noqa: E731
    told.at(20, changed("firing", 20), quiet=until_35)
    assert told.at(21, quiet=until_35) == []
    assert told.notices.due_ms() == 21_000 + LOOK_MS
    assert told.at(31, quiet=until_35) == []
    assert told.at(41, quiet=until_35) == ["firing 1: web-1 firing"]


def test_the_suppressed_ones_of_a_group_do_not_delay_the_others() -> None:
    told = Told()
    one: Quiet = lambda one, _: one.entity["source"] == "web-1"  # noqa: E731
    told.at(20, changed("firing", 20), quiet=one)
    told.at(21, quiet=one)
    assert told.at(22, changed("firing", 22, source="web-2"), quiet=one) == ["firing 1: web-2 firing"]


def test_looking_again_at_what_is_suppressed_reminds_nobody_of_the_others() -> None:
    told = Told()
    one: Quiet = lambda one, _: one.entity["source"] == "web-1"  # noqa: E731
    told.at(20, changed("firing", 20), changed("firing", 20, source="web-2"), quiet=one)
    assert told.at(21, quiet=one) == ["firing 1: web-2 firing"]
    assert [told.at(at_s, quiet=one) for at_s in (31, 81, 91, 300)] == [[], [], [], []]


def test_a_group_of_which_all_is_suppressed_is_not_told_again() -> None:
    told = Told()
    told.at(20, changed("firing", 20))
    told.at(21)
    assert told.at(3_700, quiet=lambda _transition, _at_ms: True) == []
    assert told.at(3_720) == ["firing again 1: "]


def test_news_that_one_notice_cannot_hold_are_told_in_the_next_one_at_once_and_the_worst_first() -> None:
    told = Told()
    many = [changed("firing", 20, source=f"web-{n}", severity="warning") for n in range(MAX_ALERTS)]
    told.at(20, *many, changed("firing", 20, source="db-1"))
    told.at(21)
    first, second = told.planned
    assert first.notice.alerts[0].entity == {"source": "db-1"}
    assert [(len(one.notice.alerts), one.notice.left_out, len(one.includes)) for one in told.planned] == [
        (MAX_ALERTS, 1, MAX_ALERTS),
        (MAX_ALERTS, 1, 1),
    ]
    assert {*first.includes, *second.includes} == {one.id for one in (*many, changed("firing", 20, source="db-1"))}
    assert told.at(81) == []


def test_an_end_is_told_by_name_however_many_alerts_of_its_group_stand() -> None:
    told = Told()
    told.at(20, *(changed("firing", 20, source=f"web-{n}") for n in range(2 * MAX_ALERTS)))
    told.at(21)
    told.planned.clear()
    told.at(100, changed("ok", 100, source="web-7"))
    told.at(101)
    (ended,) = told.planned
    assert [one.to_state for one in ended.notice.alerts if one.id in ended.includes] == [State.OK]
    assert (ended.notice.status, len(ended.notice.alerts), ended.notice.left_out) == ("firing", MAX_ALERTS, MAX_ALERTS)


def test_after_a_crash_what_was_told_is_not_told_again() -> None:
    told = Told()
    told.at(20, changed("firing", 20))
    told.at(21)
    again = told.again()
    assert again.at(22, changed("firing", 20)) == []
    assert again.at(100) == []
    again.at(110, changed("recovering", 100), changed("ok", 110))
    assert again.at(111) == ["resolved 1: web-1 ok"]
    ended = Told()
    for one in (*told.planned, *again.planned):
        ended.notices.restore(one)
    assert ended.at(120, changed("firing", 20), changed("ok", 110)) == []
    assert ended.at(1_000) == []


def test_notices_of_routes_that_are_gone_are_forgotten() -> None:
    told = Told()
    told.at(20, changed("firing", 20))
    told.at(21)
    other = Notices(tree(RouteSettings.model_validate({"receiver": "others"})))
    other.restore(told.planned[0])
    assert other.due_ms() is None


def test_who_must_hurry_tells_at_once_what_waits_and_nothing_twice() -> None:
    told = Told()
    told.at(20, changed("firing", 20))
    assert [_said(one) for one in told.notices.plan(20_000, hurry=True)] == ["firing 1: web-1 firing"]
    assert told.notices.plan(20_100, hurry=True) == []


@pytest.mark.parametrize(
    ("state", "resume", "raised"),
    [("firing", "ok", True), ("recovering", "ok", True), ("stale", "firing", True), ("stale", "pending", False),
     ("pending", "ok", False), ("ok", "ok", False)],
)  # fmt: skip
def test_an_alert_of_which_only_its_state_is_known_is_told_if_it_is_raised(
    state: str, resume: str, raised: bool
) -> None:
    told, fires = Told(), changed("firing", 20)
    known = AlertState(
        alert=fires.alert, rule=fires.rule, rule_version=1, entity=fires.entity, state=State(state),
        severity=Severity.CRITICAL, episode_ms=10_000, since_ms=20_000, resume=State(resume),
    )  # fmt: skip
    assert stands(known) is raised
    told.at(20, standing_transition(known))
    assert not told.notices.knows(fires.alert)
    assert told.at(21) == ["firing 1: web-1 firing"]
    assert told.notices.knows(fires.alert)
    told.at(90, changed("ok", 90))
    assert told.at(91) == ["resolved 1: web-1 ok"]


def test_it_knows_what_is_raised_the_oldest_first() -> None:
    told = Told()
    told.at(20, changed("firing", 20, source="b", episode_s=15), changed("firing", 20, source="a", episode_s=20))
    told.at(20, changed("firing", 20, source="c", episode_s=10), changed("ok", 20, source="c", revision=1))
    assert [labels["source"] for labels in told.notices.raised().values()] == ["b", "a"]


def test_receivers_that_forget_are_told_what_stands() -> None:
    told = Told()
    told.at(20, changed("firing", 20), changed("firing", 20, source="web-2"))
    assert told.notices.standing() == []
    told.at(21)
    told.at(30, changed("ok", 30, source="web-2"))
    (one,) = told.notices.standing()
    assert {alert.entity["source"] for alert in one.notice.alerts} == {"web-1", "web-2"}
    told.at(90)
    (one,) = told.notices.standing()
    assert [alert.entity["source"] for alert in one.notice.alerts] == ["web-1"]
    assert one.includes == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_id_of_a_notice_does_not_depend_on_the_order_of_its_alerts(order: tuple[int, int]) -> None:
    both = [changed("firing", 20), changed("firing", 20, source="web-2")]
    told = Told()
    told.at(20, *(both[place] for place in order))
    told.at(21)
    assert told.planned[0].notice.id == "db0c1584fae1de13e129887bbadab663"


STATES = st.sampled_from(["firing", "recovering", "ok", "stale", "pending"])
STEPS = st.lists(st.tuples(st.sampled_from(["a", "b"]), STATES, st.integers(1, 90), st.booleans()), max_size=25)


@given(STEPS, st.integers(0, 25))
def test_in_the_end_people_know_how_every_alert_stands_though_it_crashed_meanwhile(
    steps: list[tuple[str, str, int, bool]], crash: int
) -> None:
    told, at_s = Told(), 0
    log: list[Transition] = []
    fires: dict[str, int] = {}
    for number, (source, state, later_s, _) in enumerate(steps):
        at_s += later_s
        episode_s = fires.get(source) or at_s
        fires[source] = 0 if state == "ok" else episode_s if state == "firing" or source in fires else 0
        log.append(changed(state, at_s, source=source, episode_s=episode_s))
        told.at(at_s, log[-1])
        if number == crash:
            before, waiting = told.planned, told.notices.waiting()
            told = told.again()
            told.planned = before
            first = next((place for place, one in enumerate(log) if one.alert in waiting), len(log))
            for one in log[first:]:
                told.notices.take(one, at_s * 1000)
    told.at(at_s + 100)
    assert told.notices.waiting() == set()
    known: dict[str, bool] = {}
    for planned in told.planned:
        known |= {one.alert: one.to_state != "ok" for one in planned.notice.alerts}
    raised: dict[str, bool] = {}
    for one in log:
        if one.to_state == "firing":
            raised[one.alert] = True
        elif one.to_state == "ok" and one.alert in raised:
            raised[one.alert] = False
    assert {alert for alert, stands in known.items() if stands} == {alert for alert, stands in raised.items() if stands}
    assert len({planned.notice.id for planned in told.planned}) == len(told.planned)
