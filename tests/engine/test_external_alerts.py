"""Alerts that other systems raise: what their posts become, as timelines."""

import pytest

from engine.external_alerts import MAX_ALERTS, RESOLVE_TIMEOUT_MS, ExternalAlerts, Posted, TooMany, rule_of
from schemas.alerts import Severity, State, Transition
from schemas.matchers import labels_of

DOWN = {"alertname": "InstanceDown", "instance": "web-1", "severity": "page"}


def post(alerts: ExternalAlerts, at_ms: int, *posted: Posted) -> list[Transition]:
    """Posts and publishes; what was published."""
    decided = alerts.posted(posted, at_ms)
    alerts.told(decided)
    return [one.newest for one in decided if one.news]


def end(alerts: ExternalAlerts, at_ms: int) -> list[Transition]:
    """Publishes the ends that have come."""
    decided = alerts.ended(at_ms)
    alerts.told(decided)
    return [one.newest for one in decided]


def test_an_alert_fires_once_however_often_it_is_posted_and_ends_when_its_end_was_posted() -> None:
    alerts = ExternalAlerts()
    (fired,) = post(alerts, 10_000, Posted(DOWN, "web-1 is down", starts_ms=4_000))
    assert post(alerts, 40_000, Posted(DOWN, starts_ms=4_000, ends_ms=280_000)) == []
    (ended,) = post(alerts, 70_000, Posted(DOWN, starts_ms=4_000, ends_ms=60_000))
    assert post(alerts, 80_000, Posted(DOWN, starts_ms=4_000, ends_ms=60_000)) == []
    assert (fired.rule, fired.to_state, fired.episode_ms, fired.at_ms) == (
        "external.instancedown",
        "firing",
        4_000,
        10_000,
    )
    assert (ended.from_state, ended.to_state, ended.episode_ms, ended.at_ms) == (State.FIRING, State.OK, 4_000, 70_000)
    assert (fired.summary, fired.severity) == ("web-1 is down", Severity.CRITICAL)
    assert fired.id != ended.id


def test_an_alert_that_is_posted_no_more_ends_at_the_end_that_was_last_posted() -> None:
    alerts = ExternalAlerts()
    post(alerts, 0, Posted(DOWN))
    post(alerts, 1_000, Posted(DOWN, ends_ms=9_000))
    assert end(alerts, 8_999) == []
    assert [one.to_state for one in end(alerts, 9_000)] == [State.OK]
    assert end(alerts, 10_000) == []


def test_an_alert_without_an_end_ends_after_the_timeout() -> None:
    alerts = ExternalAlerts()
    post(alerts, 1_000, Posted(DOWN))
    assert end(alerts, RESOLVE_TIMEOUT_MS + 999) == []
    assert len(end(alerts, RESOLVE_TIMEOUT_MS + 1_000)) == 1


def test_what_could_not_be_published_is_decided_again() -> None:
    alerts = ExternalAlerts()
    lost = alerts.posted([Posted(DOWN)], 1_000)
    again = alerts.posted([Posted(DOWN)], 1_000)
    assert lost == again
    assert again[0].news


def test_after_a_restart_what_stands_waits_for_its_next_post_and_ends_if_there_is_none() -> None:
    before, after = ExternalAlerts(), ExternalAlerts()
    (fired,) = post(before, 1_000, Posted(DOWN))
    after.restore(fired, 500_000)
    after.restore(fired.model_copy(update={"rule": "cpu-busy", "alert": "0" * 16}), 500_000)
    after.restore(fired, 900_000)
    assert post(after, 510_000, Posted(DOWN, ends_ms=600_000)) == []
    (ended,) = end(after, 600_000)
    assert ended.alert == fired.alert
    after.restore(ended, 600_000)
    assert end(after, 2_000_000) == []


def test_a_clock_that_goes_back_does_not_make_a_change_the_older_one() -> None:
    alerts = ExternalAlerts()
    times = [one.at_ms for one in post(alerts, 50_000, Posted(DOWN))]
    times += [one.at_ms for one in post(alerts, 20_000, Posted(DOWN, ends_ms=1_000))]
    times += [one.at_ms for one in post(alerts, 20_000, Posted(DOWN))]
    assert times == [50_000, 50_001, 50_002]


def test_matchers_see_the_labels_that_were_posted() -> None:
    (fired,) = post(ExternalAlerts(), 0, Posted(DOWN))
    assert labels_of(fired) == {**DOWN, "metric": "external"}
    assert fired.summary == "InstanceDown is firing"


def test_names_that_rules_cannot_have_are_written_otherwise_and_stay_apart() -> None:
    assert rule_of("Größe zu groß!") == "external.gr--e-zu-gro--"
    assert len(rule_of("x" * 256)) == 128
    both = post(
        ExternalAlerts(), 0, Posted({"alertname": "A b"}), Posted({"alertname": "a_b"}), Posted({"alertname": "A-b"})
    )
    assert len({one.alert for one in both}) == 3


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"severity": "page"}, "needs the label alertname"),
        ({"alertname": "x", **{f"l{number}": "" for number in range(32)}}, "32 labels at most"),
        ({"alertname": "x", "long": "v" * 257}, "'long'"),
        ({"alertname": "x", "n" * 129: "v"}, "names have 128 characters"),
    ],
)
def test_what_no_alert_can_be_is_refused(labels: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Posted(labels)


def test_more_alerts_than_can_be_kept_are_refused_whole_and_those_that_stand_are_not() -> None:
    alerts = ExternalAlerts()
    post(alerts, 0, *[Posted({"alertname": "x", "n": str(number)}) for number in range(MAX_ALERTS)])
    with pytest.raises(TooMany, match="10000 alerts stand"):
        alerts.posted([Posted(DOWN)], 1)
    assert post(alerts, 1, Posted({"alertname": "x", "n": "0"}, ends_ms=1))
    assert post(alerts, 2, Posted(DOWN))
