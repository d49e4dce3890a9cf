"""Alerts of other systems within one turn of a notifier, which alone publishes them."""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from connect.clock import now_ms
from connect.outbox import Message, Outbox
from engine.external_alerts import ExternalAlerts
from engine.notices import Notices
from schemas.alerts import Transition
from schemas.control import Silence
from schemas.topics import ALERTS, CONTROL
from sinks.notify.api_v2 import ApiV2
from sinks.notify.suppression import Suppression

_LOG = logging.getLogger(__name__)

RETRY_S = 1.0


class External:
    """What `sinks.notify.api_v2` needs of the notifier."""

    def __init__(self, notices: Notices, suppression: Suppression, outbox: Outbox) -> None:
        self._notices = notices
        self._suppression = suppression
        self._outbox = outbox
        self._alerts = ExternalAlerts()
        self._ready = asyncio.Event()

    def restore(self, transitions: Iterable[Transition]) -> None:
        """Transitions of before this turn. Those of this turn are known already."""
        if not self._ready.is_set():
            for one in transitions:
                self._alerts.restore(one, now_ms())

    def restored(self) -> None:
        """That was everything."""
        self._ready.set()

    async def run(self, port: int, receivers: Sequence[str]) -> None:
        """Serves from then on. A port that is taken keeps nobody from being told: it is tried again."""
        await self._ready.wait()
        api = ApiV2(self, self._alerts, receivers, now_ms)
        while True:
            try:
                await api.run(port)
            except OSError as error:
                _LOG.warning("Alertmanager's API cannot be served on port %d (see notify.api_port): %s", port, error)
            await asyncio.sleep(RETRY_S)

    def raised(self) -> Sequence[Transition]:
        """Of every alert that is raised the newest transition."""
        return self._notices.newest_raised()

    def holders(self, transition: Transition, at_ms: int) -> tuple[list[str], list[str]]:
        """Ids of what silences it, and alerts that explain it."""
        return self._suppression.holders(transition, at_ms)

    def silences(self) -> Sequence[Silence]:
        """Every silence that is known."""
        return self._suppression.silences()

    async def publish(self, transitions: Sequence[Transition]) -> None:
        """Returns when Kafka has them."""
        await self._outbox.deliver(
            [Message(ALERTS.name, one.alert.encode(), one.model_dump_json().encode()) for one in transitions]
        )

    async def decide(self, silence: Silence) -> None:
        """Returns when Kafka has it; it holds from then on."""
        value = silence.model_dump_json().encode()
        await self._outbox.deliver([Message(CONTROL.name, silence.id.encode(), value)])
        self._suppression.take([value])
