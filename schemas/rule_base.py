"""What every kind of rule has, and what those have that hold a value against thresholds."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from schemas.alerts import RuleId
from schemas.dimensions import Dimensions, Name
from schemas.durations import Duration
from schemas.records import Finite, MetricName, Wire

WINDOW_MS = 10_000
"""Length of a rollup window, and distance of the evaluation grid."""
HOUR_MS = 3_600_000

Summary = Annotated[str, StringConstraints(max_length=512)]


class BaseRule(Wire):
    """What every rule has."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: RuleId = Field(description="Names the rule, and its alerts, for ever.")
    description: Summary = Field(default="", description="What it means and what to do, for the person who is paged.")
    group_by: tuple[Name, ...] = Field(
        default=("source",),
        strict=False,
        max_length=8,
        description="One alert for each combination of these dimensions.",
    )
    good_windows: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=3, description="Good windows in a row that resolve."
    )
    keep_firing_for_ms: Duration = Field(
        default=0, alias="keep_firing_for", description="How long it must stay good before it resolves."
    )
    flap_start: Annotated[int, Field(ge=0, le=60)] = Field(
        default=5,
        description="So many changes between good and bad in `flap_windows` windows make it flapping; 0: never.",
    )
    flap_windows: Annotated[int, Field(ge=2, le=60)] = Field(
        default=30, description="How many windows `flap_start` counts in."
    )
    max_alerts: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=100, description="So many alerts may stand at once; those beyond are counted in one alert of the rule."
    )
    grace_ms: Duration = Field(
        default=0, alias="grace", description="Time in which an entity that is new raises nothing."
    )
    enabled: bool = Field(default=True, description="A rule that is off ends its alerts.")

    @property
    def every_ms(self) -> int:
        """Distance of the grid points at which the rule is evaluated."""
        return WINDOW_MS

    @property
    def remembered_ms(self) -> int:
        """How far back it remembers of each five minutes, see `engine.memory`; 0: it remembers nothing."""
        return 0


class MetricRule(BaseRule):
    """A rule that looks at a metric."""

    metric: MetricName = Field(description="Metric that is looked at.")
    where: Dimensions = Field(
        default_factory=dict, description="Only series with these dimensions; `source` counts as one."
    )


class JudgedRule(MetricRule):
    """A rule that finds a value good or bad."""

    for_ms: Duration = Field(default=0, alias="for", description="How long it must stay beyond before it fires.")
    breaches: Annotated[int, Field(ge=1, le=60)] = Field(
        default=1, description="So many of the last `windows` windows must be beyond before it fires."
    )
    windows: Annotated[int, Field(ge=1, le=60)] = Field(
        default=1, description="How many windows `breaches` counts in, this one included."
    )
    hysteresis: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.05, description="Part of the threshold that the value must come back by before it counts as good."
    )
    stale_after_ms: Duration = Field(
        default=60_000, alias="stale_after", description="Silence that turns an alert stale."
    )
    on_no_data: Literal["stale", "ok", "firing", "keep"] = Field(
        default="stale",
        description="What silence does: after `stale_after` it turns an alert `stale`, or counts as beyond (`firing`); "
        "at once it counts as good (`ok`), or changes nothing (`keep`).",
    )
    on_undefined: Literal["keep", "ok"] = Field(
        default="keep", description="What a part of nothing does: it changes nothing, or counts as good (`ok`)."
    )
    on_error: Literal["keep", "firing"] = Field(
        default="keep",
        description="What a result does that is no finite number: it changes nothing, or counts as beyond (`firing`).",
    )

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if self.breaches > self.windows:
            raise ValueError("breaches must not be more than windows")
        if self.windows > 1 and self.for_ms:
            raise ValueError("give for, or breaches and windows: not both")
        return self


class ComparedRule(JudgedRule):
    """A rule that holds a value against thresholds."""

    over_ms: Duration = Field(default=WINDOW_MS, alias="over", description="How far back the rule looks.")
    warning: Finite | None = Field(
        default=None, description="Threshold of a warning; this or `critical` must be given."
    )
    critical: Finite | None = Field(default=None, description="Threshold of a critical alert.")

    @property
    def reach_ms(self) -> int:
        """How far back the rule looks."""
        return self.over_ms

    @model_validator(mode="after")
    def _has_a_threshold(self) -> Self:
        if self.warning is None and self.critical is None:
            raise ValueError("give warning, critical, or both")
        if self.over_ms < WINDOW_MS or self.over_ms % WINDOW_MS:
            raise ValueError(f"over must be a multiple of {WINDOW_MS // 1000}s")
        return self

    def require_order(self, direction: str) -> None:
        """Raises a `ValueError` unless critical lies beyond warning."""
        if self.warning is not None and self.critical is not None:
            ordered = self.warning <= self.critical if direction == "above" else self.warning >= self.critical
            if not ordered:
                raise ValueError(f"critical must lie {direction} warning")


Aggregate = Literal["avg", "sum", "min", "max", "last", "count", "rate", "change", "p50", "p90", "p95", "p99"]
