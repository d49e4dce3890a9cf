"""Prometheus Alertmanager, by its API v2: it groups, silences and notifies by its own rules."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from connect.clock import now_ms
from connect.guarded_http import GuardedHttp
from schemas.alerts import Severity, State, Transition
from schemas.matchers import labels_of
from schemas.notifications import Notice
from sinks.notify.receivers.settings import AlertmanagerSettings

_NEVER = "0001-01-01T00:00:00Z"


class Alertmanager:
    """Posts every alert of a notice. What stands must be posted again before `keep_s` are over."""

    def __init__(self, settings: AlertmanagerSettings) -> None:
        self._settings = settings
        self._http = GuardedHttp(allowed=settings.allow_networks, timeout_s=settings.timeout_s)

    @property
    def name(self) -> str:
        """See `Receiver`."""
        return self._settings.name

    async def deliver(self, notice: Notice) -> None:
        """See `Receiver`."""
        until_ms = now_ms() + int(self._settings.keep_s * 1000)
        body = json.dumps([one for alert in notice.alerts for one in posted(alert, until_ms)]).encode()
        url = self._settings.url.get_secret_value().rstrip("/") + "/api/v2/alerts"
        await self._http.post(url, body, {"Content-Type": "application/json"})

    async def close(self) -> None:
        """See `Receiver`."""
        await self._http.close()


def posted(alert: Transition, until_ms: int) -> list[dict[str, object]]:
    """An alert as API v2 takes it, and the same with the other severity, ended: to Alertmanager these are two.

    Args:
        until_ms: Until when one that stands is kept.
    """
    ended = moment(alert.at_ms)
    ends = ended if alert.to_state is State.OK else moment(until_ms)
    told: dict[str, object] = {"annotations": annotations(alert), "startsAt": moment(alert.episode_ms)}
    others = [severity for severity in (Severity.WARNING, Severity.CRITICAL) if severity is not alert.severity]
    return [
        {**told, "labels": labels(alert), "endsAt": ends},
        *({**told, "labels": {**labels(alert), "severity": str(one)}, "endsAt": ended} for one in others),
    ]


def alert_of(alert: Transition) -> dict[str, object]:
    """An alert as webhooks of version 4 have it."""
    resolved = alert.to_state is State.OK
    return {
        "status": "resolved" if resolved else "firing",
        "labels": labels(alert),
        "annotations": annotations(alert),
        "startsAt": moment(alert.episode_ms),
        "endsAt": moment(alert.at_ms) if resolved else _NEVER,
        "generatorURL": "",
        "fingerprint": alert.alert,
    }


def labels(alert: Transition) -> Mapping[str, str]:
    """Labels that tell an alert apart. Names as Prometheus allows them; an empty label is none."""
    return {_label(name): value for name, value in labels_of(alert).items() if value}


def _label(name: str) -> str:
    plain = "".join(char if char.isascii() and (char.isalnum() or char == "_") else "_" for char in name)
    return plain if not plain[:1].isdigit() else f"_{plain}"


def annotations(alert: Transition) -> Mapping[str, str]:
    """What a person reads."""
    told = {"summary": alert.summary, "value": "" if alert.value is None else f"{alert.value:.6g}"}
    return {name: value for name, value in told.items() if value}


def moment(at_ms: int) -> str:
    """RFC 3339, in UTC."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
