"""Rules, as people write them in YAML and as they travel on topic `control`."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from schemas.alerts import BUCKET_MS, RuleId, Severity
from schemas.dimensions import Dimensions, Name
from schemas.durations import Duration, duration_s
from schemas.records import Finite, MetricName, Wire

WINDOW_MS = 10_000
"""Length of a rollup window, and distance of the evaluation grid."""
HOUR_MS = 3_600_000

Summary = Annotated[str, StringConstraints(max_length=512)]


class _Rule(Wire):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    id: RuleId = Field(description="Names the rule, and its alerts, for ever.")
    description: Summary = Field(default="", description="What it means and what to do, for the person who is paged.")
    metric: MetricName = Field(description="Metric that is looked at.")
    where: Dimensions = Field(
        default_factory=dict, description="Only series with these dimensions; `source` counts as one."
    )
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


class _ComparedRule(_Rule):
    over_ms: Duration = Field(default=WINDOW_MS, alias="over", description="How far back the rule looks.")
    warning: Finite | None = Field(
        default=None, description="Threshold of a warning; this or `critical` must be given."
    )
    critical: Finite | None = Field(default=None, description="Threshold of a critical alert.")
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
        if self.breaches > self.windows:
            raise ValueError("breaches must not be more than windows")
        if self.windows > 1 and self.for_ms:
            raise ValueError("give for, or breaches and windows: not both")
        return self

    def _require_order(self, direction: str) -> None:
        if self.warning is not None and self.critical is not None:
            ordered = self.warning <= self.critical if direction == "above" else self.warning >= self.critical
            if not ordered:
                raise ValueError(f"critical must lie {direction} warning")


Aggregate = Literal["avg", "sum", "min", "max", "last", "count", "rate", "change", "p50", "p90", "p95", "p99"]


class ThresholdRule(_ComparedRule):
    """Fires when an aggregate of a metric stays beyond a threshold."""

    kind: Literal["threshold"] = Field(default="threshold", description="`threshold`.")
    aggregate: Aggregate = Field(default="avg", description="What of the values of all series of an alert is compared.")
    direction: Literal["above", "below"] = Field(default="above", description="Which side of a threshold is bad.")

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        self._require_order(self.direction)
        return self


class RatioRule(_ComparedRule):
    """Fires when too large a part of what happened went wrong, and enough happened to be sure of it."""

    kind: Literal["ratio"] = Field(default="ratio", description="`ratio`.")
    bad: Dimensions = Field(
        default_factory=dict, description="Of `metric` only series with these dimensions count what went wrong."
    )
    of: MetricName | None = Field(
        default=None, description="Metric that counts everything that happened; without it `metric` does."
    )
    confidence: Annotated[float, Field(ge=0.5, le=0.9999)] = Field(
        default=0.95, description="How sure it must be that the part is larger than the threshold."
    )
    at_least: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        default=10, description="Where less than so much happened, nothing is said."
    )

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        self._require_order("above")
        if self.total == self.metric and not self.bad:
            raise ValueError("say what went wrong: give bad, or of, or both")
        if any(limit is not None and not 0 <= limit < 1 for limit in (self.warning, self.critical)):
            raise ValueError("a threshold is a part: from 0 up to, and without, 1")
        return self

    @property
    def total(self) -> str:
        """The metric that counts everything."""
        return self.of if self.of is not None else self.metric

    @property
    def direction(self) -> Literal["above"]:
        """As of a threshold."""
        return "above"


class ChangeRule(_ComparedRule):
    """Fires when an aggregate of a metric is another one than it was a while ago."""

    kind: Literal["change"] = Field(description="`change`.")
    aggregate: Aggregate = Field(default="avg", description="What of the values of all series of an alert is compared.")
    ago_ms: Annotated[Duration, Field(ge=WINDOW_MS, le=7 * 86_400_000, multiple_of=WINDOW_MS)] = Field(
        alias="ago", description="With how long before it is compared, 10s to 7d; beyond 1h in steps of 5m."
    )
    by: Literal["difference", "ratio"] = Field(
        default="difference", description="What is held against a threshold: the difference, or the ratio to before."
    )
    at_least: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="A smaller change is none, whatever it is by."
    )
    direction: Literal["above", "below"] = Field(default="above", description="Which side of a threshold is bad.")

    @property
    def reach_ms(self) -> int:
        """How far back rows lie that the rule looks at."""
        return self.over_ms if self.remembers else self.over_ms + self.ago_ms

    @property
    def remembers(self) -> bool:
        """Whether it looks further back than an hour: further than rows are held."""
        return self.ago_ms > HOUR_MS

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        self._require_order(self.direction)
        whole = not self.ago_ms % BUCKET_MS and not self.over_ms % BUCKET_MS and self.over_ms <= HOUR_MS
        if self.remembers and not (whole and self.aggregate in ("avg", "min", "max")):
            raise ValueError("ago beyond 1h needs multiples of 5m, over of 5m to 1h, and aggregate avg, min or max")
        return self


class OutlierRule(_ComparedRule):
    """Fires when an entity is unlike the others of its rule."""

    kind: Literal["outlier"] = Field(description="`outlier`.")
    aggregate: Aggregate = Field(default="avg", description="What of the values of all series of an alert is compared.")
    peers_by: tuple[Name, ...] = Field(
        default=(), strict=False, max_length=8, description="Compared are those that share these dimensions; none: all."
    )
    min_peers: Annotated[int, Field(ge=2, le=10_000)] = Field(
        default=5, description="Where there are fewer others, nothing is said."
    )
    floor: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="A deviation is no less than this, however alike the others are."
    )
    floor_ratio: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.05, description="Nor less than this part of their median."
    )
    side: Literal["above", "below", "both"] = Field(default="both", description="On which side of them it is bad.")

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        self._require_order("above")
        if not set(self.peers_by) <= set(self.group_by):
            raise ValueError("peers_by must be some of group_by")
        return self

    @property
    def direction(self) -> Literal["above"]:
        """As of a threshold: of deviations."""
        return "above"


class ForecastRule(_ComparedRule):
    """Fires when a metric that moves steadily will reach a limit soon."""

    kind: Literal["forecast"] = Field(description="`forecast`.")
    aggregate: Literal["avg", "min", "max", "last"] = Field(
        default="last", description="What of the values of each window is looked at."
    )
    limit: Finite = Field(description="What must not be reached.")
    toward: Literal["above", "below"] = Field(default="above", description="From which side: `above` fills.")
    over_ms: Annotated[Duration, Field(ge=600_000, le=6 * HOUR_MS)] = Field(
        default=3_600_000, alias="over", description="How far back the rule looks, 10m to 6h."
    )
    warning: Annotated[Finite | None, BeforeValidator(duration_s)] = Field(
        default=None, description="A warning, if it will be reached within this; this or `critical` must be given."
    )
    critical: Annotated[Finite | None, BeforeValidator(duration_s)] = Field(
        default=None, description="Critical, if it will be reached within this."
    )

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        self._require_order(self.direction)
        return self

    @property
    def every_ms(self) -> int:
        """A trend of an hour is no other one ten seconds later, and it costs something to find it."""
        return 60_000

    @property
    def direction(self) -> Literal["below"]:
        """As of a threshold: of the time that is left."""
        return "below"


class AbsenceRule(_Rule):
    """Fires when an entity that has been seen sends nothing any more."""

    kind: Literal["absence"] = Field(default="absence", description="`absence`.")
    after_ms: Duration = Field(default=30_000, alias="after", description="Silence that fires.")
    forget_after_ms: Duration = Field(
        default=86_400_000,
        alias="forget_after",
        description="Silence after which it is no longer expected: its alert ends.",
    )
    severity: Severity = Field(default=Severity.CRITICAL, strict=False, description="Severity of the alert.")


Compared = ThresholdRule | RatioRule | ChangeRule | OutlierRule | ForecastRule
"""Kinds whose value is held against thresholds."""

Rule = Annotated[
    ThresholdRule | RatioRule | ChangeRule | OutlierRule | ForecastRule | AbsenceRule, Field(discriminator="kind")
]
KINDS = ("threshold", "ratio", "change", "outlier", "forecast", "absence")


class RuleFile(Wire):
    """A file of rules, each valid by itself; `watchkeeper.rules_file` says what they must be together."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1]
    rules: list[Rule]
