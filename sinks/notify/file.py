"""The file of receivers and routes."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from engine.incidents import Grouping
from engine.inhibition import DEFAULT_RULES, InhibitRule
from schemas.dimensions import Name
from schemas.durations import Duration
from schemas.records import Wire
from schemas.routes import RouteSettings
from sinks.notify.receivers.settings import AnyReceiver

Place = tuple[int | str, ...]


class IncidentSettings(Wire):
    """Which alerts are one incident."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    join_by: Annotated[list[Name], Field(max_length=16)] = Field(
        default_factory=lambda: list(Grouping().join_by),
        description="Alerts that share the value of one of these dimensions may be one incident.",
    )
    window_ms: Duration = Field(
        default=Grouping().window_ms, alias="window", description="How soon after the last change an alert joins it."
    )
    reopen_within_ms: Duration = Field(
        default=Grouping().reopen_within_ms,
        alias="reopen_within",
        description="How soon after its end an alert that fires again reopens it.",
    )

    def grouping(self) -> Grouping:
        """As the engine takes it."""
        about = {"window_ms": self.window_ms, "reopen_within_ms": self.reopen_within_ms}
        return Grouping(join_by=tuple(self.join_by), **about)


class NotifyFile(Wire):
    """Who can be told, and who is told of what."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    version: Literal[1]
    receivers: Annotated[list[AnyReceiver], Field(min_length=1, max_length=64)]
    route: RouteSettings
    inhibit: Annotated[list[InhibitRule], Field(max_length=256)] = Field(
        default_factory=lambda: list(DEFAULT_RULES), description="Which alerts explain others."
    )
    incidents: IncidentSettings = Field(default_factory=IncidentSettings, description="Which alerts are one incident.")


def unfit(file: NotifyFile) -> Iterator[tuple[Place, str]]:
    """What each part allows for itself, and what makes no sense all the same, with its place."""
    names = [one.name for one in file.receivers]
    for number, one in enumerate(file.receivers):
        place: Place = ("receivers", number)
        if one.name in names[:number]:
            yield (*place, "name"), f"receivers.{number}.name: there is another receiver {one.name}"
        if one.fallback is not None and one.fallback not in names:
            yield (*place, "fallback"), _unknown(f"receivers.{number}.fallback", one.fallback, names)
        elif _circle(file, one.name):
            yield (*place, "fallback"), f"receivers.{number}.fallback: {one.name} would be told again: a circle"
    if file.route.receiver is None:
        yield ("route",), "route.receiver: this field is required at the top: it takes what no other route does"
    if file.route.matchers:
        yield ("route", "matchers"), "route.matchers: the top takes every alert: put these into a node of routes"
    yield from _routes(file.route, ("route",), names)


def _routes(route: RouteSettings, place: Place, names: list[str]) -> Iterator[tuple[Place, str]]:
    if route.receiver is not None and route.receiver not in names:
        yield (*place, "receiver"), _unknown(".".join(map(str, (*place, "receiver"))), route.receiver, names)
    for number, step in enumerate(route.escalate or ()):
        if step.receiver not in names:
            where = (*place, "escalate", number, "receiver")
            yield where, _unknown(".".join(map(str, where)), step.receiver, names)
    for number, below in enumerate(route.routes):
        yield from _routes(below, (*place, "routes", number), names)


def _unknown(where: str, name: str, names: list[str]) -> str:
    return f"{where}: there is no receiver {name}; there are {', '.join(sorted(names))}"


def _circle(file: NotifyFile, name: str) -> bool:
    fallbacks = {one.name: one.fallback for one in file.receivers}
    seen, following = {name}, fallbacks.get(name)
    while following is not None and following not in seen:
        seen.add(following)
        following = fallbacks.get(following)
    return following == name
