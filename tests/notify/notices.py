"""Notices for tests."""

from typing import Any

from schemas.alerts import Transition
from schemas.notifications import Notice
from tests.engine.alerting import changed


def notice(*alerts: Transition, **fields: Any) -> Notice:
    """One of some alerts; without any of one that fires."""
    told = list(alerts) or [changed("firing", 20)]
    defaults: dict[str, Any] = {
        "id": "0123456789abcdef" * 2,
        "receiver": "team",
        "route": "{}",
        "group": {"alertname": told[0].rule},
        "status": "firing" if any(one.to_state != "ok" for one in told) else "resolved",
        "at_ms": 1_790_000_000_000,
        "alerts": told,
    }
    return Notice(**{**defaults, **fields})
