"""Which alerts others explain."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.inhibition import DEFAULT_RULES, InhibitRule, inhibited

HOST = {"source": ["kind=host"], "target": ['kind=~"service|route"'], "equal": ["host"]}
SERVICE = {"source": ["kind=service"], "target": ["kind=route"], "equal": ["host", "service"]}
GRAPH = [InhibitRule.model_validate(one) for one in (HOST, SERVICE)]


def alert(kind: str, **labels: str) -> Mapping[str, str]:
    return {"kind": kind, **labels}


STANDING = {
    "host": alert("host", host="a"),
    "shop": alert("service", host="a", service="shop"),
    "pay": alert("route", host="a", service="shop", route="/pay"),
    "mail": alert("service", host="b", service="mail"),
    "send": alert("route", host="b", service="mail", route="/send"),
    "other": alert("route", host="c", service="mail", route="/send"),
}


def test_what_lies_below_an_alert_on_the_way_host_service_route_is_explained_by_it() -> None:
    assert inhibited(GRAPH, STANDING) == {"shop": "host", "pay": "host", "send": "mail"}


def test_when_the_alert_above_is_gone_those_below_speak_again() -> None:
    without = {name: labels for name, labels in STANDING.items() if name not in {"host", "mail"}}
    assert inhibited(GRAPH, without) == {"pay": "shop"}


def test_a_silent_machine_explains_its_other_alerts_and_not_another_silent_machine() -> None:
    standing = {
        "silent": {"alertname": "source-silent", "source": "web-1"},
        "cpu": {"alertname": "cpu-busy", "source": "web-1"},
        "elsewhere": {"alertname": "cpu-busy", "source": "web-2"},
        "too": {"alertname": "source-silent", "source": "web-2"},
        "nowhere": {"alertname": "errors"},
    }
    assert inhibited(DEFAULT_RULES, standing) == {"cpu": "silent", "elsewhere": "too"}


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_of_two_that_would_explain_each_other_the_first_is_told(order: tuple[str, str]) -> None:
    rules = [
        InhibitRule.model_validate({"source": [f"n={one}"], "target": [f"n={other}"], "equal": ["host"]})
        for one, other in (("a", "b"), ("b", "a"))
    ]
    standing = {name: {"n": name, "host": "x"} for name in order}
    assert inhibited(rules, standing) == {order[1]: order[0]}


KINDS = st.sampled_from(["host", "service", "route"])
ALERTS = st.dictionaries(
    st.integers(0, 30).map(str),
    st.builds(
        alert, st.sampled_from(["host", "service", "route"]), host=st.sampled_from("ab"), service=st.sampled_from("xy")
    ),
)


@given(ALERTS, st.lists(st.sampled_from([HOST, SERVICE, {**HOST, "source": ["kind=route"], "target": ["kind=host"]}])))
def test_never_are_all_held_back_and_whoever_explains_is_told_itself(
    standing: dict[str, Mapping[str, str]], rules: list[dict[str, list[str]]]
) -> None:
    found = inhibited([InhibitRule.model_validate(one) for one in rules], standing)
    assert not standing or len(found) < len(standing)
    assert all(source in standing and source not in found for source in found.values())
