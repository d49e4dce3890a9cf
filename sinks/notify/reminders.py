"""Receivers that forget what is not told again."""

import asyncio
from collections.abc import Mapping

from engine.notices import Notices
from sinks.notify.deliveries import Deliveries
from sinks.notify.receiver import Receiver
from sinks.notify.receivers.settings import AlertmanagerSettings, AnyReceiver


async def remind(
    receivers: Mapping[str, tuple[AnyReceiver, Receiver]], notices: Notices, deliveries: Deliveries
) -> None:
    """Tells them what stands, again and again."""
    waits_s = {
        name: settings.resend_s
        for name, (settings, _) in receivers.items()
        if isinstance(settings, AlertmanagerSettings)
    }
    loop = asyncio.get_running_loop()
    due_s = {name: loop.time() + wait_s for name, wait_s in waits_s.items()}
    while due_s:
        await asyncio.sleep(max(0.0, min(due_s.values()) - loop.time()))
        for name in [name for name, at_s in due_s.items() if at_s <= loop.time()]:
            due_s[name] = loop.time() + waits_s[name]
            for planned in notices.standing():
                if planned.notice.receiver == name:
                    await deliveries.remind(planned.notice)
