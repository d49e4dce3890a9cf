"""The `notify` role: changes of alerts to people and other systems. Of several such processes one works at a time."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from connect import kafka
from connect.kafka import Consumer, RebalanceListener
from connect.leader import OneMember
from connect.outbox import Outbox
from connect.telemetry import Figures, Telemetry
from schemas.errors import NotDrained
from schemas.topics import ALERTS
from sinks.notify.config import NotifyConfig
from sinks.notify.metrics import Metrics
from sinks.notify.receiver import Receiver
from sinks.notify.receivers import open_receiver
from sinks.notify.receivers.settings import AnyReceiver
from sinks.notify.turn import Turn

__all__ = ["NotifyConfig", "notify"]

_LOG = logging.getLogger(__name__)

HEARTBEAT_MS = 1_500
MAX_POLL_INTERVAL_MS = 7 * 86_400_000
"""While no receiver answers nothing may be polled: that must never count as having died."""


async def notify(config: NotifyConfig, telemetry: Telemetry, stop: asyncio.Event) -> None:
    """Tells until `stop`.

    Raises:
        BadSettings: A receiver cannot be used.
        BrokerUnavailable: Kafka was not there at the start.
        NotDrained: With `drain`, it had to end before all that was published was planned.
    """
    if config.file is None:
        _LOG.warning("Nobody is told of alerts: there is no file of receivers and routes, see notify.file")
    settings = config.file.receivers if config.file is not None else []
    metrics = Metrics(telemetry.registry, [one.name for one in settings])
    receivers: dict[str, tuple[AnyReceiver, Receiver]] = {
        one.name: (one, open_receiver(one, metrics.template_failures.labels(one.name).inc)) for one in settings
    }
    producer = kafka.producer(config.kafka)
    consumer = kafka.consumer(
        config.kafka,
        group_id=config.group,
        auto_offset_reset="earliest",
        partition_assignment_strategy=(OneMember,),
        session_timeout_ms=int(config.session_timeout_s * 1000),
        heartbeat_interval_ms=min(HEARTBEAT_MS, int(config.session_timeout_s * 250)),
        max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
    )
    outbox = Outbox(producer)
    running = Notifier(consumer, lambda: Turn(config, consumer, outbox, metrics, receivers), tells=bool(receivers))
    telemetry.show(running.figures)
    try:
        await producer.start()
        consumer.subscribe([ALERTS.name], listener=running)
        await kafka.start(consumer, config.kafka)
        drained = await running.run(stop)
    finally:
        await kafka.leave(consumer)
        await kafka.close(producer)
        for _, receiver in receivers.values():
            await receiver.close()
    if config.drain and not drained:
        raise NotDrained("not every change of an alert is planned; the next notifier goes on")


class Notifier(RebalanceListener):  # type: ignore[misc]  # the client ships no types for it
    """Works while this member of the group is the one that does."""

    def __init__(self, consumer: Consumer, begin: Callable[[], Turn], *, tells: bool) -> None:
        self._tells = tells
        self._consumer = consumer
        self._begin = begin
        self._turn: Turn | None = None
        self._mine = asyncio.Event()
        self._lost = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> bool:
        """Until told to stop; whether everything that was published was planned then."""
        while True:
            await _first_of(self._mine.wait(), stop.wait())
            if not self._mine.is_set():
                return True
            self._lost.clear()
            self._turn = self._begin()
            work = asyncio.create_task(self._turn.run(stop))
            lost = asyncio.create_task(self._lost.wait())
            await asyncio.wait({work, lost}, return_when=asyncio.FIRST_COMPLETED)
            for task in (work, lost):
                task.cancel()
            ended, _ = await asyncio.gather(work, lost, return_exceptions=True)
            if isinstance(ended, bool):
                return ended
            if not isinstance(ended, asyncio.CancelledError):
                raise ended

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """It is this one's turn, where there is anything."""
        if assigned:
            _LOG.info("This notifier works now")
            self._mine.set()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Another may have its turn."""
        if revoked:
            self._mine.clear()
            self._lost.set()

    def figures(self) -> Figures:
        """For `/status`."""
        works = self._turn is not None and self._mine.is_set()
        own = self._turn.figures() if self._turn is not None else {}
        note = "" if works else "waits for its turn: another notifier works, or none yet"
        if not self._tells:
            note = "no receivers: nobody is told of alerts, see notify.file"
        return {"works": works, **own, "note": note}


async def _first_of(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(one) for one in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
