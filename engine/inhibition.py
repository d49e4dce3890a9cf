"""Alerts that are not told since a worse one explains them: a host that is silent, and all that runs on it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from schemas.dimensions import Name
from schemas.matchers import Matcher, matches
from schemas.records import Wire
from schemas.routes import as_matcher

Standing = Mapping[str, Mapping[str, str]]
"""Alerts that are raised, each with its labels, in the order in which they were."""

Matchers = Annotated[list[Annotated[Matcher, BeforeValidator(as_matcher)]], Field(min_length=1, max_length=32)]


class InhibitRule(Wire):
    """While an alert is raised that `source` means, those that `target` means and that share labels are not told."""

    model_config = ConfigDict(extra="forbid")

    source: Matchers = Field(description="The alert that explains the others.")
    target: Matchers = Field(description="The alerts that are not told.")
    equal: list[Name] = Field(
        min_length=1, max_length=16, description="Labels that both must have, with the same values."
    )


DEFAULT_RULES = (
    InhibitRule.model_validate(
        {"source": ["alertname=source-silent"], "target": ["alertname!=source-silent"], "equal": ["source"]}
    ),
)
"""A machine that sends nothing explains whatever else is raised on it."""


def inhibited(rules: Sequence[InhibitRule], standing: Standing) -> dict[str, str]:
    """Alerts that others explain, each with one that does, which itself is told.

    An alert is told if none that is told explains it. Where that decides nothing, as of two that would explain each
    other, the one that was raised first is told. What a rule means on both sides it does not hold back.
    """
    sources = [_Sources(rule, standing) for rule in rules]
    open_ = {
        alert: [one for some in sources for one in some.explaining(labels) if one != alert]
        for alert, labels in standing.items()
    }
    explained: dict[str, str] = {}
    while open_:
        told = {alert for alert, above in open_.items() if not any(one in open_ for one in above)}
        told = told or {next(iter(open_))}
        for alert in told:
            del open_[alert]
        for alert, above in list(open_.items()):
            by = next((one for one in above if one in told), None)
            if by is not None:
                explained[alert] = by
                del open_[alert]
    return explained


class _Sources:
    """The alerts that one rule lets explain others, by the values of the labels that both must have."""

    def __init__(self, rule: InhibitRule, standing: Standing) -> None:
        self._rule = rule
        self._alerts: dict[tuple[str, ...], list[str]] = {}
        for alert, labels in standing.items():
            values = self._values(labels)
            if values is not None and matches(rule.source, labels):
                self._alerts.setdefault(values, []).append(alert)

    def _values(self, labels: Mapping[str, str]) -> tuple[str, ...] | None:
        values = tuple(labels.get(name, "") for name in self._rule.equal)
        return values if all(values) else None

    def explaining(self, labels: Mapping[str, str]) -> Iterable[str]:
        """Those for an alert with these labels, in their order."""
        values = self._values(labels)
        if values is None or values not in self._alerts:
            return ()
        means_both = matches(self._rule.source, labels)
        return () if means_both or not matches(self._rule.target, labels) else self._alerts[values]
