"""Slack, and whoever takes its incoming webhooks."""

import json

from connect.guarded_http import GuardedHttp
from schemas.notifications import Notice
from sinks.notify.receivers.settings import SlackSettings
from sinks.notify.receivers.texts import Wording

MAX_SECTION_CHARS = 2_900
"""Slack refuses sections of more than 3,000."""

_SIGNS = {"firing": "\N{LARGE RED CIRCLE}", "resolved": "\N{WHITE HEAVY CHECK MARK}"}


class Slack:
    """Posts each notice as one message."""

    def __init__(self, settings: SlackSettings, wording: Wording) -> None:
        self._settings = settings
        self._wording = wording
        self._http = GuardedHttp(allowed=settings.allow_networks, timeout_s=settings.timeout_s)

    @property
    def name(self) -> str:
        """See `Receiver`."""
        return self._settings.name

    async def deliver(self, notice: Notice) -> None:
        """See `Receiver`."""
        body = json.dumps(message(notice, self._wording)).encode()
        await self._http.post(self._settings.url.get_secret_value(), body, {"Content-Type": "application/json"})

    async def close(self) -> None:
        """See `Receiver`."""
        await self._http.close()


def message(notice: Notice, wording: Wording) -> dict[str, object]:
    """A message: its `text` is what notifications on a phone show, the sections what stands in the channel."""
    title, text = wording(notice)
    headline = escaped(f"{_SIGNS[notice.status]} {title}")
    sections = (f"*{headline}*", escaped(text)[:MAX_SECTION_CHARS])
    return {
        "text": headline,
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": one}} for one in sections],
    }


def escaped(text: str) -> str:
    """What Slack would take for its own marks: nobody is mentioned by a label."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
