"""Which alerts of the past matchers would have hidden."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, Field

from connect.clickhouse import Store
from schemas.matchers import Matcher, matches

MAX_MS = 90 * 86_400_000
MAX_SHOWN = 200

_RAISED = """
SELECT rule, metric, severity, CAST(entity, 'Map(String, String)'), toUnixTimestamp64Milli(at), summary
FROM watchkeeper.alert_transitions
WHERE to_state = 'firing' AND from_state IN ('ok', 'pending')
    AND at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC') AND at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
ORDER BY at
"""


class HiddenAlert(BaseModel):
    """An alert that was raised."""

    rule: str
    severity: str
    entity: dict[str, str]
    at_ms: int
    summary: str


class Hiding(BaseModel):
    """What would have been hidden of the alerts of a span."""

    raised: int = Field(description="Alerts that were raised.")
    hidden: int = Field(description="Of these those that would not have been told.")
    by_rule: dict[str, int] = Field(description="The latter by rule, the most first.")
    newest: list[HiddenAlert] = Field(description="The newest 200 of them, the newest first.")


def hidden_of(store: Store, matchers: Sequence[Matcher], from_ms: int, to_ms: int, *, shown: int = MAX_SHOWN) -> Hiding:
    """Holds matchers against the past. Raises StoreUnavailable."""
    raised = [
        (metric, HiddenAlert(rule=rule, severity=severity, entity=entity, at_ms=at_ms, summary=summary))
        for rule, metric, severity, entity, at_ms, summary in store.rows(_RAISED, {"from_ms": from_ms, "to_ms": to_ms})
    ]
    found = [one for metric, one in raised if matches(matchers, _labels(metric, one))]
    return Hiding(
        raised=len(raised), hidden=len(found), by_rule=dict(Counter(one.rule for one in found).most_common()),
        newest=found[: -shown - 1 : -1],
    )  # fmt: skip


def _labels(metric: str, one: HiddenAlert) -> dict[str, str]:
    return {**one.entity, "alertname": one.rule, "metric": metric, "severity": one.severity}
