"""The past through silences, groups and routes: who would have been told what, and when."""

from collections.abc import Sequence

import pytest

from engine.inhibition import DEFAULT_RULES
from engine.paging import Paging
from engine.routing import tree
from engine.silences import Silences
from schemas.alerts import Transition
from schemas.control import Silence
from schemas.matchers import parse_matcher
from schemas.routes import RouteSettings
from tests.engine.alerting import changed

ROOT = tree(
    RouteSettings.model_validate({
        "receiver": "team", "group_wait": "1s", "group_interval": "1m", "repeat_interval": "1h",
        "routes": [{"receiver": "dba", "matchers": ['source="db-1"']}],
    })
)  # fmt: skip
Told = list[tuple[str, float, str, bool]]


def told(paging: Paging, transitions: Sequence[Transition], *, until_s: int = 600) -> Told:
    notices = [page.notice for page in paging.play(transitions, until_s * 1000)]
    return [(one.receiver, one.at_ms / 1000, one.status, one.repeat) for one in notices]


def silence(matcher: str, *, from_s: int, to_s: int) -> Silence:
    about = {"id": "silence/a", "version": 1, "at_ms": 0, "by": "anna", "matchers": [parse_matcher(matcher)]}
    return Silence.model_validate({**about, "starts_ms": from_s * 1000, "ends_ms": to_s * 1000, "comment": "known"})


def test_alerts_go_the_way_of_their_routes_grouped_and_are_told_of_their_ends() -> None:
    some = [
        changed("firing", 20),
        changed("firing", 20, source="web-2"),
        changed("firing", 30, source="db-1"),
        changed("ok", 200),
        changed("ok", 200, source="web-2"),
    ]
    assert told(Paging(ROOT), some) == [
        ("team", 21.0, "firing", False),
        ("dba", 31.0, "firing", False),
        ("team", 201.0, "resolved", False),
    ]


def test_what_stands_is_told_again() -> None:
    assert told(Paging(ROOT), [changed("firing", 20)], until_s=3_700)[-1] == ("team", 3_621.0, "firing", True)


def test_what_is_silenced_is_told_once_the_silence_is_over_if_it_still_stands() -> None:
    paging = Paging(ROOT, Silences([silence('source="web-1"', from_s=0, to_s=300)]))
    (first, *_) = told(paging, [changed("firing", 20), changed("firing", 30, source="db-1")])
    assert first == ("dba", 31.0, "firing", False)
    assert set(paging.held_back.values()) == {"silence/a"}
    late = told(Paging(ROOT, Silences([silence('source="web-1"', from_s=0, to_s=300)])), [changed("firing", 20)])
    assert [(name, status) for name, _, status, _ in late] == [("team", "firing")]
    assert late[0][1] == pytest.approx(305, abs=10)


def test_what_a_worse_alert_explains_is_not_told() -> None:
    some = [changed("firing", 20, rule="source-silent"), changed("firing", 20, rule="cpu-busy")]
    paging = Paging(ROOT, inhibits=DEFAULT_RULES)
    (page,) = paging.play(some, 600_000)
    assert [one.rule for one in page.notice.alerts] == ["source-silent"]
    assert list(paging.held_back.values()) == [f"alert/{some[0].alert}"]


def test_an_end_or_a_reminder_is_nothing_to_get_up_for() -> None:
    some = [
        changed("firing", 20, severity="warning"),
        changed("firing", 20, source="web-2"),
        changed("firing", 100, severity="critical"),
        changed("ok", 200, source="web-2"),
    ]
    pages = list(Paging(ROOT).play(some, 3_900_000))
    assert [([one.entity["source"] for one in page.news], page.is_raise) for page in pages] == [
        (["web-2", "web-1"], True),
        (["web-1"], True),
        # While another still fires.
        (["web-2"], False),
        ([], False),
    ]
