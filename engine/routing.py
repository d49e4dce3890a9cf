"""Which routes an alert takes through the tree, as Alertmanager decides it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from schemas.matchers import Matcher, matches
from schemas.routes import EscalationStep, RouteSettings

GROUP_BY = ("alertname",)
GROUP_WAIT_MS = 1_000
"""All alerts of one evaluation come within less."""

GROUP_INTERVAL_MS = 60_000
REPEAT_INTERVAL_MS = 4 * 3_600_000

_INHERITED = ("receiver", "group_by", "group_wait_ms", "group_interval_ms", "repeat_interval_ms", "escalate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A node of the tree, with what it has from those above.

    Attributes:
        path: Its matchers and those above it, for people; `{}` is the root.
    """

    path: str
    receiver: str
    matchers: tuple[Matcher, ...]
    group_by: tuple[str, ...]
    group_wait_ms: int
    group_interval_ms: int
    repeat_interval_ms: int
    goes_on: bool
    escalate: tuple[EscalationStep, ...] = ()
    routes: tuple["Route", ...] = ()

    def group(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The labels by which alerts of this route are told together."""
        return {name: labels.get(name, "") for name in self.group_by}


def tree(settings: RouteSettings) -> Route:
    """The whole tree. Its root takes everything and must name a receiver."""
    root = Route(
        path="", receiver="", matchers=(), group_by=GROUP_BY, group_wait_ms=GROUP_WAIT_MS,
        group_interval_ms=GROUP_INTERVAL_MS, repeat_interval_ms=REPEAT_INTERVAL_MS, goes_on=False,
    )  # fmt: skip
    return _node(settings, root, "")


def _node(settings: RouteSettings, above: Route, number: str) -> Route:
    mine = _name(settings) + number
    path = f"{above.path}/{mine}" if above.path else mine
    given = {name: value for name in _INHERITED if (value := getattr(settings, name)) is not None}
    node = replace(
        above, **given, path=path, matchers=tuple(settings.matchers), goes_on=settings.goes_on, routes=()
    )  # fmt: skip
    # Two nodes beside each other may have the same matchers, and are two routes all the same.
    names = [_name(below) for below in settings.routes]
    numbers = [f"[{place}]" if names.count(name) > 1 else "" for place, name in enumerate(names)]
    below = [_node(one, node, number) for one, number in zip(settings.routes, numbers, strict=True)]
    return replace(node, routes=tuple(below))


def _name(settings: RouteSettings) -> str:
    return "{" + ", ".join(map(str, settings.matchers)) + "}"


def routes_of(route: Route, labels: Mapping[str, str]) -> list[Route]:
    """The nodes that take an alert: of each branch the deepest that matches; none if this one does not."""
    if not matches(route.matchers, labels):
        return []
    taken: list[Route] = []
    for below in route.routes:
        found = routes_of(below, labels)
        taken += found
        if found and not below.goes_on:
            break
    return taken or [route]


def flat(route: Route) -> Iterator[Route]:
    """This node and all below it."""
    yield route
    for below in route.routes:
        yield from flat(below)


def explained(route: Route, labels: Mapping[str, str], depth: int = 0) -> Iterator[tuple[int, Route, str]]:
    """Every node that is asked, how deep it lies, and what it said: empty where it matches."""
    unmet = [str(matcher) for matcher in route.matchers if not matcher.matches(labels)]
    yield depth, route, ", ".join(f"{one} does not hold" for one in unmet)
    if unmet:
        return
    for below in route.routes:
        yield from explained(below, labels, depth + 1)
        if matches(below.matchers, labels) and not below.goes_on:
            return
