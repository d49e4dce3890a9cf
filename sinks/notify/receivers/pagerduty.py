"""PagerDuty, by its Events API v2: an event for each alert, of which it makes one incident each."""

import asyncio
import json

from connect.guarded_http import GuardedHttp
from schemas.alerts import Severity, State, Transition
from schemas.errors import TransientError
from schemas.notifications import Notice
from sinks.notify.receivers.settings import PagerDutySettings
from sinks.notify.receivers.texts import Wording, moment

_SEVERITIES = {Severity.CRITICAL: "critical", Severity.WARNING: "warning"}
MAX_SUMMARY_CHARS = 1_024


class PagerDuty:
    """Sends one event for each alert. The key of an event is the alert's fingerprint: repeats are taken once."""

    def __init__(self, settings: PagerDutySettings, wording: Wording) -> None:
        self._settings = settings
        self._wording = wording
        self._http = GuardedHttp(allowed=settings.allow_networks, timeout_s=settings.timeout_s)

    @property
    def name(self) -> str:
        """See `Receiver`."""
        return self._settings.name

    async def deliver(self, notice: Notice) -> None:
        """See `Receiver`. Where one event fails the others are sent all the same; then all are tried again."""
        sent = await asyncio.gather(*(self._send(notice, one) for one in notice.alerts), return_exceptions=True)
        failed = [one for one in sent if isinstance(one, BaseException)]
        passing = [one for one in failed if isinstance(one, TransientError)]
        for error in (*passing, *failed):
            raise error

    async def _send(self, notice: Notice, alert: Transition) -> None:
        alone = notice.model_copy(update={"alerts": [alert], "left_out": 0, "status": _status(alert)})
        body = json.dumps(event(alone, self._settings.routing_key.get_secret_value(), self._wording)).encode()
        await self._http.post(self._settings.url.get_secret_value(), body, {"Content-Type": "application/json"})

    async def close(self) -> None:
        """See `Receiver`."""
        await self._http.close()


def _status(alert: Transition) -> str:
    return "resolved" if alert.to_state is State.OK else "firing"


def event(notice: Notice, routing_key: str, wording: Wording) -> dict[str, object]:
    """An event of the one alert of a notice."""
    (alert,) = notice.alerts
    about: dict[str, object] = {"routing_key": routing_key, "dedup_key": alert.alert}
    if notice.status == "resolved":
        return {**about, "event_action": "resolve"}
    title, text = wording(notice)
    return {
        **about,
        "event_action": "trigger",
        "client": "Watchkeeper",
        "payload": {
            "summary": title[:MAX_SUMMARY_CHARS],
            "source": alert.entity.get("source") or alert.rule,
            "severity": _SEVERITIES.get(alert.severity, "error"),
            "timestamp": moment(alert.episode_ms).replace(" UTC", "Z").replace(" ", "T"),
            "component": alert.metric,
            "group": alert.rule,
            "custom_details": {"text": text, **alert.entity},
        },
    }
