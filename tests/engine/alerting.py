"""Transitions for tests of what becomes of them."""

from hashlib import blake2b
from typing import Any

from engine.alerts import alert_id
from schemas.alerts import Outcome, Severity, State, Transition


def changed(
    to_state: str,
    at_s: int,
    *,
    rule: str = "cpu-busy",
    severity: str = "critical",
    episode_s: int = 10,
    source: str = "web-1",
    **fields: Any,
) -> Transition:
    """A transition at so many seconds."""
    entity = {"source": source}
    identity = f"{rule}|{source}|{to_state}|{at_s}|{severity}"
    defaults: dict[str, Any] = {
        "id": blake2b(identity.encode(), digest_size=16).hexdigest(),
        "alert": alert_id(rule, entity),
        "rule": rule,
        "rule_version": 1,
        "entity": entity,
        "metric": "system.cpu.utilization",
        "episode_ms": episode_s * 1000,
        "at_ms": at_s * 1000,
        "from_state": State.PENDING,
        "to_state": State(to_state),
        "severity": Severity(severity),
        "outcome": Outcome.VALUE,
        "value": 0.97,
        "threshold": 0.9,
        "summary": f"{rule} on {source} is {to_state}",
    }
    return Transition(**{**defaults, **fields})
