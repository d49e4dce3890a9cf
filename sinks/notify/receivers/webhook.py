"""Webhooks: notices as JSON, signed as Standard Webhooks asks for (standardwebhooks.com, version 1)."""

import base64
import binascii
import hmac
import json
from hashlib import sha256

from pydantic import SecretStr

from connect.clock import now_ms
from connect.guarded_http import GuardedHttp
from schemas.notifications import Notice
from sinks.notify.receivers.alertmanager import alert_of, labels
from sinks.notify.receivers.settings import WebhookSettings

_PREFIX = "whsec_"


class Webhook:
    """Posts each notice. Its id is the header `webhook-id`: a receiver that keeps those takes no notice twice."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._http = GuardedHttp(allowed=settings.allow_networks, timeout_s=settings.timeout_s)

    @property
    def name(self) -> str:
        """See `Receiver`."""
        return self._settings.name

    async def deliver(self, notice: Notice) -> None:
        """See `Receiver`."""
        settings = self._settings
        body = notice.model_dump_json().encode()
        if settings.format == "alertmanager":
            body = json.dumps(payload(notice)).encode()
        now_s = now_ms() // 1000
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        headers |= {"Content-Type": "application/json", "webhook-id": notice.id, "webhook-timestamp": str(now_s)}
        if settings.secret is not None:
            headers["webhook-signature"] = signature(settings.secret, notice.id, now_s, body)
        await self._http.post(settings.url.get_secret_value(), body, headers)

    async def close(self) -> None:
        """See `Receiver`."""
        await self._http.close()


def signing_key(secret: SecretStr) -> bytes:
    """The key of a secret. Raises ValueError, without the secret."""
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(_PREFIX) or not 16 <= len(key) <= 64:
        raise ValueError("must be whsec_ and 24 to 64 random bytes in Base64, as Standard Webhooks writes them")
    return key


def signature(secret: SecretStr, id_: str, at_s: int, body: bytes) -> str:
    """Header `webhook-signature`."""
    signed = hmac.digest(signing_key(secret), f"{id_}.{at_s}.".encode() + body, sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


def payload(notice: Notice) -> dict[str, object]:
    """What Alertmanager's webhooks have, version 4 (prometheus.io/docs/alerting/latest/configuration)."""
    alerts = [alert_of(one) for one in notice.alerts]
    every = [labels(one) for one in notice.alerts]
    common = {name: value for name, value in every[0].items() if all(one.get(name) == value for one in every)}
    return {
        "version": "4",
        "groupKey": f"{notice.route}:{notice.group}",
        "truncatedAlerts": notice.left_out,
        "status": notice.status,
        "receiver": notice.receiver,
        "groupLabels": notice.group,
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "",
        "alerts": alerts,
    }
