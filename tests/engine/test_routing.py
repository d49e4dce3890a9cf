"""Which routes an alert takes, as Alertmanager decides it."""

import pytest
from pydantic import ValidationError

from engine.routing import explained, flat, routes_of, tree
from schemas.routes import RouteSettings

TREE = tree(
    RouteSettings.model_validate(
        {
            "receiver": "team",
            "group_by": ["source"],
            "routes": [
                {"matchers": ['severity="critical"'], "receiver": "pager", "continue": True, "group_wait": "0s"},
                {
                    "matchers": ['service=~"shop|mail"'],
                    "receiver": "services",
                    "repeat_interval": "1h",
                    "routes": [{"matchers": ["service=mail"], "receiver": "mailers"}],
                },
                {"matchers": ['service=~"shop|mail"'], "receiver": "nobody"},
            ],
        }
    )
)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"severity": "warning"}, ["team"]),
        ({"severity": "critical"}, ["pager"]),
        ({"severity": "warning", "service": "shop"}, ["services"]),
        ({"severity": "critical", "service": "shop"}, ["pager", "services"]),
        ({"severity": "critical", "service": "mail"}, ["pager", "mailers"]),
    ],
)
def test_an_alert_takes_the_deepest_node_of_each_branch_that_goes_on(
    labels: dict[str, str], receivers: list[str]
) -> None:
    assert [route.receiver for route in routes_of(TREE, labels)] == receivers


def test_a_node_has_what_is_above_it_unless_it_says_something_else() -> None:
    _, pager, services, mailers, _ = flat(TREE)
    assert pager.group_by == mailers.group_by == ("source",)
    assert (pager.group_wait_ms, services.group_wait_ms) == (0, 1_000)
    assert services.repeat_interval_ms == mailers.repeat_interval_ms == 3_600_000
    assert mailers.group({"source": "web-1"}) == {"source": "web-1"}
    assert mailers.group({}) == {"source": ""}


def test_every_node_has_a_path_of_its_own() -> None:
    paths = [route.path for route in flat(TREE)]
    assert len(set(paths)) == len(paths)
    assert paths[0] == "{}"
    assert paths[3] == '{}/{service=~"shop|mail"}[1]/{service="mail"}'


def test_it_tells_which_nodes_were_asked_and_what_they_said() -> None:
    told = [(depth, route.receiver, why) for depth, route, why in explained(TREE, {"service": "mail"})]
    assert told == [
        (0, "team", ""),
        (1, "pager", 'severity="critical" does not hold'),
        (1, "services", ""),
        (2, "mailers", ""),
    ]


def test_a_tree_that_is_too_deep_is_refused() -> None:
    nested: dict[str, object] = {}
    for _ in range(16):
        nested = {"routes": [nested]}
    with pytest.raises(ValidationError, match="nested deeper than 16"):
        RouteSettings.model_validate(nested)
