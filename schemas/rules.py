"""Rules, as people write them in YAML and as they travel on topic `control`."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from schemas.alerts import BUCKET_MS, Severity
from schemas.anomaly import AnomalyRule
from schemas.burn_rate import BurnRateRule
from schemas.dimensions import Dimensions, Name
from schemas.durations import Duration, duration_s
from schemas.records import Finite, MetricName, Wire
from schemas.rule_base import HOUR_MS, WINDOW_MS, Aggregate, ComparedRule, MetricRule
from schemas.rules_of_rules import CompositeRule, SequenceRule


class ThresholdRule(ComparedRule):
    """Fires when an aggregate of a metric stays beyond a threshold."""

    kind: Literal["threshold"] = Field(default="threshold", description="`threshold`.")
    aggregate: Aggregate = Field(default="avg", description="What of the values of all series of an alert is compared.")
    direction: Literal["above", "below"] = Field(default="above", description="Which side of a threshold is bad.")

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        self.require_order(self.direction)
        return self


class RatioRule(ComparedRule):
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
        self.require_order("above")
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


Ago = Annotated[Duration, Field(ge=WINDOW_MS, le=7 * 86_400_000, multiple_of=WINDOW_MS)]


class ChangeRule(ComparedRule):
    """Fires when an aggregate of a metric is another one than it was a while ago."""

    kind: Literal["change"] = Field(description="`change`.")
    aggregate: Aggregate = Field(default="avg", description="What of the values of all series of an alert is compared.")
    ago_ms: Ago | Annotated[tuple[Ago, ...], Field(strict=False, min_length=1, max_length=4)] = Field(
        alias="ago",
        description="With how long before it is compared, 10s to 7d; beyond 1h in steps of 5m. "
        "Of several, such as [10m, 1d, 7d], it must have changed against each.",
    )
    by: Literal["difference", "ratio"] = Field(
        default="difference", description="What is held against a threshold: the difference, or the ratio to before."
    )
    at_least: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="A smaller change is none, whatever it is by."
    )
    direction: Literal["above", "below"] = Field(default="above", description="Which side of a threshold is bad.")

    @property
    def agos_ms(self) -> tuple[int, ...]:
        """With how long before it is compared."""
        return (self.ago_ms,) if isinstance(self.ago_ms, int) else self.ago_ms

    @property
    def reach_ms(self) -> int:
        """How far back rows lie that the rule looks at."""
        return self.over_ms + max((one for one in self.agos_ms if one <= HOUR_MS), default=0)

    @property
    def remembered_ms(self) -> int:
        """What lies further back than an hour, further than rows are held, is remembered."""
        longest_ms = max(self.agos_ms)
        return longest_ms + self.over_ms if longest_ms > HOUR_MS else 0

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        self.require_order(self.direction)
        far = [one for one in self.agos_ms if one > HOUR_MS]
        whole = not any(one % BUCKET_MS for one in far) and not self.over_ms % BUCKET_MS and self.over_ms <= HOUR_MS
        if far and not (whole and self.aggregate in ("avg", "min", "max")):
            raise ValueError("ago beyond 1h needs multiples of 5m, over of 5m to 1h, and aggregate avg, min or max")
        return self


class OutlierRule(ComparedRule):
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
        self.require_order("above")
        if not set(self.peers_by) <= set(self.group_by):
            raise ValueError("peers_by must be some of group_by")
        return self

    @property
    def direction(self) -> Literal["above"]:
        """As of a threshold: of deviations."""
        return "above"


class ForecastRule(ComparedRule):
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
        self.require_order(self.direction)
        return self

    @property
    def every_ms(self) -> int:
        """A trend of an hour is no other one ten seconds later, and it costs something to find it."""
        return 60_000

    @property
    def direction(self) -> Literal["below"]:
        """As of a threshold: of the time that is left."""
        return "below"


LATELY_MS = 60_000
"""How far back is looked for what else a silent source has sent."""


class AbsenceRule(MetricRule):
    """Fires when an entity that has been seen sends nothing any more."""

    kind: Literal["absence"] = Field(default="absence", description="`absence`.")
    after_ms: Duration = Field(default=30_000, alias="after", description="Silence that fires.")
    forget_after_ms: Duration = Field(
        default=86_400_000,
        alias="forget_after",
        description="Silence after which it is no longer expected: its alert ends.",
    )
    severity: Severity = Field(default=Severity.CRITICAL, strict=False, description="Severity of the alert.")

    @property
    def reach_ms(self) -> int:
        """How far back rows lie that the rule looks at."""
        return LATELY_MS


Compared = ThresholdRule | RatioRule | ChangeRule | OutlierRule | ForecastRule | BurnRateRule | AnomalyRule
"""Kinds whose value is held against thresholds."""

RuleOfRules = CompositeRule | SequenceRule
"""Kinds that look at other rules."""

OfMetric = Compared | AbsenceRule
"""Kinds that look at a metric themselves."""

Rule = Annotated[
    ThresholdRule
    | RatioRule
    | ChangeRule
    | OutlierRule
    | ForecastRule
    | BurnRateRule
    | AnomalyRule
    | AbsenceRule
    | CompositeRule
    | SequenceRule,
    Field(discriminator="kind"),
]
KINDS = (
    "threshold",
    "ratio",
    "change",
    "outlier",
    "forecast",
    "burn_rate",
    "anomaly",
    "absence",
    "composite",
    "sequence",
)


class RuleFile(Wire):
    """A file of rules, each valid by itself; `operations.rules_file` says what they must be together."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1]
    rules: list[Rule]
