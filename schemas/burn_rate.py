"""Rules over an objective: how fast its error budget burns."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from schemas.alerts import BUCKET_MS, Severity
from schemas.dimensions import Dimensions
from schemas.durations import Duration
from schemas.records import MetricName, Wire
from schemas.rule_base import HOUR_MS, WINDOW_MS, JudgedRule

DAY_MS = 24 * HOUR_MS

Budget = Annotated[Duration, Field(ge=BUCKET_MS, le=7 * DAY_MS, multiple_of=BUCKET_MS)]


class Burn(Wire):
    """One speed at which the budget must not burn: over a long window, and over a short one, so that it ends soon."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    factor: Annotated[float, Field(gt=0, le=1_000_000)]
    long_ms: Budget = Field(alias="long")
    short_ms: Budget = Field(alias="short")
    severity: Severity = Field(strict=False)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.short_ms >= self.long_ms:
            raise ValueError("short must be shorter than long")
        if self.severity is Severity.NONE:
            raise ValueError("severity must be warning or critical")
        return self


_FAST = {"factor": 14.4, "long": HOUR_MS, "short": BUCKET_MS, "severity": Severity.CRITICAL}
_SLOW = {"factor": 6.0, "long": 6 * HOUR_MS, "short": 6 * BUCKET_MS, "severity": Severity.CRITICAL}
_CREEPING = {"factor": 1.0, "long": 3 * DAY_MS, "short": 6 * HOUR_MS, "severity": Severity.WARNING}
BURNS = tuple(Burn.model_validate(one) for one in (_FAST, _SLOW, _CREEPING))
"""2 % of the budget of 30 days in an hour, 5 % in six, 10 % in three days: The Site Reliability Workbook, chapter 5."""


class BurnRateRule(JudgedRule):
    """Fires when the error budget of an objective burns too fast: over a long window, and over a short one still."""

    kind: Literal["burn_rate"] = Field(description="`burn_rate`.")
    bad: Dimensions = Field(
        default_factory=dict, description="Of `metric` only series with these dimensions count what went wrong."
    )
    of: MetricName | None = Field(
        default=None, description="Metric that counts everything that happened; without it `metric` does."
    )
    objective: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="What part must go well, such as 0.999: the rest is the budget."
    )
    burns: tuple[Burn, ...] = Field(
        default=BURNS,
        strict=False,
        min_length=1,
        max_length=8,
        description="Speeds that fire: a `factor` over windows `long` and `short`, and its `severity`. "
        "By default 14.4 over 1h and 5m, 6 over 6h and 30m (critical), 1 over 3d and 6h (warning).",
    )
    confidence: Annotated[float, Field(ge=0.5, le=0.9999)] = Field(
        default=0.95, description="How sure it must be that it burns faster than a factor."
    )
    at_least: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        default=10, description="Where less than so much happened in a short window, nothing is said of it."
    )

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.total == self.metric and not self.bad:
            raise ValueError("say what went wrong: give bad, or of, or both")
        return self

    @property
    def total(self) -> str:
        """The metric that counts everything."""
        return self.of if self.of is not None else self.metric

    @property
    def direction(self) -> Literal["above"]:
        """As of a threshold."""
        return "above"

    @property
    def every_ms(self) -> int:
        """Windows of five minutes and more are looked at each minute."""
        return 60_000

    @property
    def over_ms(self) -> int:
        """The least that can make it fire."""
        return min(one.short_ms for one in self.burns)

    @property
    def reach_ms(self) -> int:
        """How far back rows lie that it looks at: the five minutes that are remembered next, and those before."""
        return 2 * BUCKET_MS + WINDOW_MS

    @property
    def remembered_ms(self) -> int:
        """The longest window, and the five minutes in which it begins."""
        return max(one.long_ms for one in self.burns) + BUCKET_MS

    @property
    def warning(self) -> float | None:
        """The least factor that warns."""
        return self._least(Severity.WARNING)

    @property
    def critical(self) -> float | None:
        """The least factor that is critical."""
        return self._least(Severity.CRITICAL)

    def _least(self, severity: Severity) -> float | None:
        return min((one.factor for one in self.burns if one.severity is severity), default=None)
