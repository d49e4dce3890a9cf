"""What Apprise reaches. Its URLs lead where their service is: they are not checked as those of other receivers."""

import asyncio

import apprise

from schemas.errors import BadSettings, TransientError
from schemas.notifications import Notice
from sinks.notify.receivers.settings import AppriseSettings
from sinks.notify.receivers.texts import Wording


class Others:
    """Hands each notice to Apprise.

    Raises:
        BadSettings: Apprise does not know the URL.
    """

    def __init__(self, settings: AppriseSettings, wording: Wording) -> None:
        self._settings = settings
        self._wording = wording
        self._service = apprise.Apprise()
        if not self._service.add(settings.url.get_secret_value()):
            raise BadSettings(f"receiver {settings.name}: Apprise does not know this URL")

    @property
    def name(self) -> str:
        """See `Receiver`."""
        return self._settings.name

    async def deliver(self, notice: Notice) -> None:
        """See `Receiver`. Apprise does not tell why it failed: everything may pass."""
        title, text = self._wording(notice)
        kind = apprise.NotifyType.FAILURE if notice.status == "firing" else apprise.NotifyType.SUCCESS
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                taken = await asyncio.to_thread(self._service.notify, body=text, title=title, notify_type=kind)
        except TimeoutError:
            raise TransientError("Apprise: no answer in time") from None
        if not taken:
            raise TransientError("Apprise could not deliver")

    async def close(self) -> None:
        """Nothing is kept open."""
