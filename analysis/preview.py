"""What rules would have done lately: a backtest in short, for those who change a threshold."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from analysis.backtest import decided, past
from connect.clickhouse import Store
from engine.episodes import Episode, episodes
from schemas.rules import Rule
from sinks.clickhouse.past_rollups import MINUTES

MAX_MS = 7 * 86_400_000
MAX_ALERTS = 500


class PreviewedAlert(BaseModel):
    """An alert that would have fired."""

    rule: str
    entity: dict[str, str]
    severity: str = Field(description="The worst.")
    summary: str
    fired_ms: int
    ended_ms: int | None = Field(description="null: it would stand.")
    flapping: bool


class Preview(BaseModel):
    """What would have fired."""

    from_ms: int
    to_ms: int
    alerts: int = Field(description="How many would have fired.")
    alerts_per_day: float
    recorded_ms: int = Field(description="How much of the time something was recorded in.")
    first: list[PreviewedAlert] = Field(description="The first 500 of them, in order.")


def preview(store: Store, rules: Sequence[Rule], from_ms: int, to_ms: int) -> Preview:
    """Plays rules over minutes of the past. Raises as `analysis.backtest.past`."""
    wanted = [rule for rule in rules if rule.enabled]
    about = past(store, wanted, MINUTES, from_ms, to_ms)
    found: list[Episode] = []
    if wanted and about.stretches:
        found = [one for one in episodes(decided(wanted, about, lambda _: None, rules)) if _counts(one, about.from_ms)]
    days = max(1, about.to_ms - about.from_ms) / 86_400_000
    recorded_ms = sum(max(0, min(end, about.to_ms) - max(begin, about.from_ms)) for begin, end in about.stretches)
    return Preview(
        from_ms=about.from_ms, to_ms=about.to_ms, alerts=len(found), alerts_per_day=round(len(found) / days, 2),
        recorded_ms=recorded_ms, first=[_alert(one) for one in found[:MAX_ALERTS]],
    )  # fmt: skip


def _counts(one: Episode, from_ms: int) -> bool:
    return one.ended_ms is None or one.ended_ms >= from_ms


def _alert(one: Episode) -> PreviewedAlert:
    return PreviewedAlert(
        rule=one.rule, entity=dict(one.entity), severity=one.severity.value, summary=one.summary,
        fired_ms=one.fired_ms, ended_ms=one.ended_ms, flapping=one.flapped,
    )  # fmt: skip
