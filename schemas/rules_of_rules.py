"""Rules over other rules of the same file, each looked at as if it stood alone."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.alerts import RuleId, Severity
from schemas.durations import Duration
from schemas.rule_base import BaseRule

PARTS_METRIC = "watchkeeper.rules.parts"
"""What the alerts of such a rule compare: how many of its rules are raised."""


class _OverRules(BaseRule):
    @property
    def metric(self) -> str:
        """What is compared."""
        return PARTS_METRIC


class CompositeRule(_OverRules):
    """Fires when enough of several rules are raised for one entity, and none of some others is."""

    kind: Literal["composite"] = Field(description="`composite`.")
    rules: tuple[RuleId, ...] = Field(
        strict=False,
        min_length=1,
        max_length=16,
        description="Rules of the same file. One that is not `enabled` tells nothing itself, and counts here.",
    )
    at_least: Annotated[int, Field(ge=1, le=16)] | None = Field(
        default=None, description="So many of them must be raised; without it all."
    )
    unless: tuple[RuleId, ...] = Field(
        default=(), strict=False, max_length=16, description="Rules of the same file of which none may be raised."
    )
    severity: Severity | None = Field(
        default=None, strict=False, description="Severity of the alert; without it the worst of theirs."
    )
    for_ms: Duration = Field(default=0, alias="for", description="How long it must hold before it fires.")

    @property
    def needed(self) -> int:
        """How many of its rules must be raised."""
        return self.at_least if self.at_least is not None else len(self.rules)

    @property
    def parts(self) -> tuple[str, ...]:
        """Every rule that it looks at."""
        return (*self.rules, *self.unless)

    @property
    def deciding(self) -> tuple[str, ...]:
        """Rules without which nothing is raised: one of them must tell its alerts apart."""
        return self.rules

    @property
    def remembers_parts_ms(self) -> int:
        """For how long it knows of a rule that is raised no more."""
        return 0

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        _distinct(self.id, self.parts)
        if self.needed > len(self.rules):
            raise ValueError("at_least must not be more than there are rules")
        if self.severity is Severity.NONE:
            raise ValueError("severity must be warning or critical")
        return self


class SequenceRule(_OverRules):
    """Fires when one rule is raised and then another one, soon enough, and not a third one between."""

    kind: Literal["sequence"] = Field(description="`sequence`.")
    first: RuleId = Field(description="Rule of the same file that must be raised first.")
    then: RuleId = Field(description="Rule of the same file that must be raised after it.")
    within_ms: Annotated[Duration, Field(ge=10_000, le=86_400_000)] = Field(
        alias="within", description="How long after `first` was last raised, 10s to 1d."
    )
    without: RuleId | None = Field(
        default=None, description="Rule of the same file that must not be raised since `first` was."
    )
    severity: Severity = Field(default=Severity.CRITICAL, strict=False, description="Severity of the alert.")

    @property
    def parts(self) -> tuple[str, ...]:
        """Every rule that it looks at."""
        return (self.first, self.then) if self.without is None else (self.first, self.then, self.without)

    @property
    def deciding(self) -> tuple[str, ...]:
        """As of a composite: without the second one nothing is raised."""
        return (self.then,)

    @property
    def for_ms(self) -> int:
        """A sequence that has come to its end fires."""
        return 0

    @property
    def remembers_parts_ms(self) -> int:
        """For how long it knows of a rule that is raised no more."""
        return self.within_ms

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        _distinct(self.id, self.parts)
        if self.severity is Severity.NONE:
            raise ValueError("severity must be warning or critical")
        return self


def _distinct(id_: str, parts: tuple[str, ...]) -> None:
    if len({id_, *parts}) <= len(parts):
        raise ValueError("a rule looks at others, each named once")
