"""Alerts as episodes, beside what really was, and beside those of another rule."""

from engine.episodes import SETTLES_MS, Labelled, difference, episodes, score
from schemas.alerts import Amendment, Severity
from tests.engine.alerting import changed

ONE = [
    changed("pending", 10, severity="warning"),
    changed("firing", 20, severity="warning"),
    changed("firing", 40, severity="critical"),
    changed("firing", 50, severity="warning", flapping=True),
    changed("recovering", 60, severity="warning"),
    changed("ok", 90, severity="warning"),
]


def test_an_episode_goes_from_where_it_fires_to_where_it_is_well() -> None:
    (found,) = episodes(ONE)
    assert (found.fired_ms, found.ended_ms, found.severity, found.flapped) == (20_000, 90_000, "critical", True)


def test_what_never_fires_is_none_and_what_stands_has_no_end() -> None:
    some = [changed("pending", 10), changed("ok", 20), changed("firing", 100, source="web-2", episode_s=100)]
    (found,) = episodes(some)
    assert (found.entity, found.ended_ms) == ({"source": "web-2"}, None)


def test_what_late_data_would_have_changed_is_no_episode() -> None:
    assert not episodes([changed("firing", 20, amends=Amendment(decided=Severity.NONE, instead=Severity.CRITICAL))])


def test_an_alert_fires_again_as_another_episode() -> None:
    again = [changed("firing", 200, episode_s=190), changed("ok", 300, episode_s=190)]
    assert [one.fired_ms for one in episodes([*ONE, *again])] == [20_000, 200_000]


def test_precision_recall_and_delay_are_against_what_really_was() -> None:
    found = episodes([
        *ONE,
        changed("firing", 500, source="web-2", episode_s=490),
        changed("firing", 900, source="web-3", episode_s=890),
    ])  # fmt: skip
    labels = [
        Labelled(name="first", from_ms=5_000, to_ms=100_000, where={"source": "web-1"}),
        Labelled(name="any", from_ms=480_000, to_ms=600_000),
        Labelled(name="missed", from_ms=480_000, to_ms=600_000, where={"source": "web-9"}),
    ]
    held = score(found, labels)
    # The third comes as late after the second incident as still counts.
    assert labels[1].to_ms + SETTLES_MS == 900_000
    assert (held.true, held.alerts, held.delays_s) == (3, 3, [15.0, 20.0])
    assert [one.name for one in held.missed] == ["missed"]
    assert (held.precision, held.recall) == (1.0, 2 / 3)


def test_nothing_has_no_precision_and_no_recall() -> None:
    held = score([], [])
    assert (held.precision, held.recall) == (None, None)


def test_alerts_of_two_rules_are_the_same_where_they_overlap() -> None:
    other = [changed("firing", 40, source="web-2", episode_s=40), changed("ok", 90, source="web-2", episode_s=40)]
    before = episodes([*ONE, *other, changed("firing", 500, episode_s=490), changed("ok", 600, episode_s=490)])
    after = episodes([
        changed("firing", 30, rule="other"), changed("ok", 70, rule="other"),
        changed("firing", 700, rule="other", episode_s=690),
    ])  # fmt: skip
    found = difference(before, after)
    assert [one.fired_ms for one in found.same] == [30_000]
    assert [one.fired_ms for one in found.added] == [700_000]
    assert [one.fired_ms for one in found.gone] == [40_000, 500_000]
