"""Delivers notices: each receiver has lines of its own, so that none waits for another's receiver."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from connect.clock import now_ms
from schemas.errors import PermanentError, TransientError
from schemas.notifications import Delivered, Failed, Notice
from sinks.notify.metrics import Metrics
from sinks.notify.receiver import Receiver
from sinks.notify.receivers.settings import AnyReceiver
from sinks.notify.waiting import Waiting

_LOG = logging.getLogger(__name__)

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
MAX_WAITING = 10_000

Ended = Callable[[Notice, Delivered | Failed], Awaitable[None]]


def retry_s(attempts: int, asked_s: float) -> float:
    """How long to wait after so many attempts that failed: twice as long each time, and as long as was asked for."""
    return max(min(FIRST_RETRY_S * 2.0 ** (attempts - 1), LONGEST_RETRY_S), asked_s)


class Deliveries:
    """Delivers to every receiver, several notices at once as its settings allow, but of one group one after the other.

    Args:
        receivers: Each with its settings.
        give_up_s: For how long a notice is tried.
        ended: Told of each notice that was delivered or given up.
    """

    def __init__(
        self,
        receivers: Mapping[str, tuple[AnyReceiver, Receiver]],
        metrics: Metrics,
        *,
        give_up_s: float,
        ended: Ended,
    ) -> None:
        self._receivers = receivers
        self._metrics = metrics
        self._give_up_s = give_up_s
        self._ended = ended
        self._waiting = {name: Waiting(MAX_WAITING) for name in receivers}

    @property
    def waiting(self) -> int:
        """Notices that wait or are under way."""
        return sum(waiting.count for waiting in self._waiting.values())

    async def add(self, notice: Notice) -> None:
        """Puts a notice behind those of its group. Waits while too many wait for its receiver."""
        await self._waiting[notice.receiver].put(notice)

    async def empty(self) -> None:
        """Returns when no notice waits and none is under way."""
        for waiting in self._waiting.values():
            await waiting.empty()

    async def run(self) -> None:
        """Delivers until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, (settings, _) in self._receivers.items():
                for _ in range(settings.at_once):
                    group.create_task(self._work(name))

    async def _work(self, name: str) -> None:
        waiting = self._waiting[name]
        while True:
            notice = await waiting.get()
            try:
                await self._deliver(name, notice)
            finally:
                waiting.done(notice)

    async def _deliver(self, name: str, notice: Notice) -> None:
        settings, receiver = self._receivers[name]
        loop = asyncio.get_running_loop()
        until_s, attempts = loop.time() + self._give_up_s, 0
        while True:
            attempts += 1
            try:
                await _handed(receiver, notice)
            except TransientError as error:
                wait_s = retry_s(attempts, error.retry_after_s)
                if loop.time() + wait_s <= until_s:
                    self._metrics.retries.labels(name).inc()
                    _LOG.warning("%s did not take a notice, attempt %d: %s", name, attempts, error)
                    await asyncio.sleep(wait_s)
                    continue
                await self._give_up(settings, notice, attempts, str(error))
            except PermanentError as error:
                await self._give_up(settings, notice, attempts, str(error))
            else:
                await self._delivered(notice, attempts)
            return

    async def _delivered(self, notice: Notice, attempts: int) -> None:
        at_ms = now_ms()
        oldest_ms = min((one.at_ms for one in notice.alerts), default=at_ms)
        latency_ms = max(0, at_ms - (notice.at_ms if notice.repeat else oldest_ms))
        about = {"id": notice.id, "receiver": notice.receiver, "at_ms": at_ms, "attempts": attempts}
        self._metrics.delivered.labels(notice.receiver).inc()
        if not notice.repeat:
            self._metrics.latency_seconds.labels(notice.receiver).observe(latency_ms / 1000)
        _LOG.info("%s took notice %s: %s, %d alerts", notice.receiver, notice.id[:8], notice.status, len(notice.alerts))
        await self._ended(notice, Delivered.model_validate({**about, "latency_ms": latency_ms}))

    async def _give_up(self, settings: AnyReceiver, notice: Notice, attempts: int, why: str) -> None:
        self._metrics.failed.labels(notice.receiver).inc()
        instead = f", {settings.fallback} is told instead" if settings.fallback else ""
        _LOG.error("%s does not take notice %s: %s%s", notice.receiver, notice.id[:8], why, instead)
        about = {"id": notice.id, "receiver": notice.receiver, "at_ms": now_ms(), "attempts": attempts}
        await self._ended(notice, Failed.model_validate({**about, "why": why[:512], "fallback": settings.fallback}))

    async def remind(self, notice: Notice) -> None:
        """Tells a receiver that forgets what stands, once; the next time is soon enough if it fails."""
        with suppress(TransientError, PermanentError):
            await _handed(self._receivers[notice.receiver][1], notice)


async def _handed(receiver: Receiver, notice: Notice) -> None:
    """What nobody foresaw in one receiver must not keep the others from being told. Its message may hold secrets."""
    try:
        await receiver.deliver(notice)
    except (TransientError, PermanentError):
        raise
    except Exception as error:  # noqa: BLE001  (see above)
        raise TransientError(f"a fault in receiver {receiver.name}: {type(error).__name__}") from None
