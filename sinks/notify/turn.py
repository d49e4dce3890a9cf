"""One turn of a notifier: from what is known of the past until it is told to stop, or another has the turn."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from connect.clock import now_ms
from connect.kafka import COMMIT_REFUSED, Consumer, KafkaError, TopicPartition
from connect.offsets import end_offsets
from connect.outbox import Message, Outbox
from connect.reader import TopicReader
from connect.telemetry import Figures
from engine.escalation import Escalation, escalates
from engine.incidents import Grouping
from engine.notices import Notices
from engine.routing import tree
from engine.standing import standing_transition
from schemas.alerts import Transition
from schemas.errors import BrokerUnavailable
from schemas.notifications import Delivered, Failed, Notice, Planned, Suppressed
from schemas.routes import RouteSettings
from schemas.topics import ALERTS, CONTROL, INCIDENTS, NOTIFICATIONS
from sinks.notify.config import NotifyConfig
from sinks.notify.deliveries import Deliveries
from sinks.notify.explainer import Explainer
from sinks.notify.external import External
from sinks.notify.fallback import fallback
from sinks.notify.incidents import IncidentLog
from sinks.notify.metrics import Metrics
from sinks.notify.outbox import Past, read_past
from sinks.notify.receiver import Receiver
from sinks.notify.receivers.settings import AnyReceiver
from sinks.notify.reminders import remind
from sinks.notify.standing import read_standing
from sinks.notify.suppression import Suppression

_LOG = logging.getLogger(__name__)

POLL_S = 0.25
COMMIT_S = 1.0

_NOBODY = RouteSettings(receiver="nobody")


class Turn:
    """Takes transitions, makes notices of them, and has them delivered.

    The stages of a transition, in their order: its routes, its groups (`engine.notices`), what suppresses it, then:

    1. The notice that tells it first is written to `notifications`, and acknowledged by Kafka.
    2. It is delivered, and tried again, until its receiver takes it or it is given up; either is written there too.
    3. The offset behind the transition is committed: never before step 1, or before it is known that nobody is told,
       and never before the events of its incident are on `incidents`.

    A crash between any two of them: planned notices that have no end are sent again, as they stood and under the same
    id; transitions that no planned notice tells are read again. So none is lost, and a receiver that keeps ids takes
    none twice.
    """

    def __init__(
        self,
        config: NotifyConfig,
        consumer: Consumer,
        outbox: Outbox,
        metrics: Metrics,
        receivers: Mapping[str, tuple[AnyReceiver, Receiver]],
    ) -> None:
        file = config.file
        self._tells = file is not None
        self._config = config
        self._consumer = consumer
        self._outbox = outbox
        self._metrics = metrics
        self._receivers = receivers
        root = tree(file.route if file else _NOBODY)
        self._notices = Notices(root)
        self._incidents = IncidentLog(
            file.incidents.grouping() if file else Grouping(), self._notices, outbox,
            Escalation(root), metrics.unreadable.labels(INCIDENTS.name).inc,
        )  # fmt: skip
        self._suppression = Suppression(file.inhibit if file else [], self._incidents.snoozed)
        self._external = External(self._notices, self._suppression, outbox)
        self._deliveries = Deliveries(receivers, metrics, give_up_s=config.give_up_s, ended=self._ended)
        self._explainer = Explainer(
            config.clickhouse, metrics, within_s=config.explain_s, dashboard_url=config.dashboard_url
        )
        self._began: dict[str, tuple[TopicPartition, int]] = {}
        """Of each alert that people do not know of yet the first record that they do not."""
        self._positions: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._stands: list[Transition] = []
        """Alerts that are raised at the start, as the evaluator knows them."""

    async def run(self, stop: asyncio.Event) -> bool:
        """Until told to stop; whether everything that was published was planned then, if it was to be."""
        kafka = self._config.kafka
        async with (
            TopicReader(kafka, CONTROL.name) as control,
            TopicReader(kafka, INCIDENTS.name) as incidents,
            asyncio.TaskGroup() as group,
        ):
            await self._incidents.begin(incidents)
            beside = [group.create_task(self._deliveries.run())]
            while not control.caught_up():
                await self._decided(control)
            await self._begin()
            beside += [
                group.create_task(remind(self._receivers, self._notices, self._deliveries)),
                group.create_task(self._follow(control)),
                group.create_task(self._incidents.follow(incidents)),
            ]
            if self._tells and self._config.api_port is not None:
                beside.append(group.create_task(self._external.run(self._config.api_port, list(self._receivers))))
            await self._tell(stop)
            planned = await self._finish()
            for task in beside:
                task.cancel()
            self._explainer.close()
        return planned

    async def _begin(self) -> None:
        """What is known of the past is taken in; what was planned and has no end is delivered."""
        async with TopicReader(self._config.kafka, NOTIFICATIONS.name) as reader:
            past = await read_past(reader)
        self._metrics.unreadable.labels(NOTIFICATIONS.name).inc(past.unreadable)
        self._incidents.known((one.notice for one in past.planned.values()), past.failed)
        for planned in past.planned.values():
            self._notices.restore(planned)
            if not escalates(planned.notice):
                self._external.restore(planned.notice.alerts)
        self._stands = [standing_transition(state) for state in await read_standing(self._config.kafka)]
        for one in self._stands:
            if self._tells and not self._notices.knows(one.alert):
                self._notices.take(one, now_ms())
        await self._resume(past)

    async def _follow(self, control: TopicReader) -> None:
        while True:
            await self._decided(control)

    async def _decided(self, control: TopicReader) -> None:
        """What people decided since the last call."""
        for chunk in await control.read(timeout_s=POLL_S):
            unreadable = self._suppression.take([record.value for record in chunk.records])
            self._metrics.unreadable.labels(CONTROL.name).inc(unreadable)
        for one in self._suppression.acknowledged.values():
            self._notices.acknowledge(one.alert, one.episode_ms)
            self._incidents.acknowledge(one)
        self._suppression.acknowledged.clear()
        await self._incidents.flush()

    async def _resume(self, past: Past) -> None:
        for planned in past.open():
            if planned.notice.receiver in self._receivers:
                await self._deliveries.add(planned.notice)
        for id_, failed in past.failed.items():
            original = past.planned.get(id_)
            if failed.fallback is not None and failed.fallback in self._receivers and original is not None:
                instead = fallback(original.notice, failed.fallback)
                if instead.notice.id not in past.planned:
                    await self._send([instead])

    async def _tell(self, stop: asyncio.Event) -> None:
        ends = await end_offsets(self._config.kafka, [ALERTS.name])
        loop = asyncio.get_running_loop()
        committed_s, reached = loop.time(), False
        while not stop.is_set():
            due_ms = self._notices.due_ms() if reached else None
            wait_ms = int(POLL_S * 1000) if due_ms is None else min(int(POLL_S * 1000), max(0, due_ms - now_ms()))
            self._take(await self._consumer.getmany(timeout_ms=wait_ms))
            if not reached and (reached := await self._reached(ends)):
                for one in self._stands:
                    self._incidents.take_standing(one)
            await self._incidents.flush()
            if reached and self._tells:
                self._external.restored()
                await self._plan()
            if loop.time() - committed_s >= COMMIT_S:
                committed_s = loop.time()
                await self._commit()

    async def _finish(self) -> bool:
        """Stops in order: with `drain` all that was published is read, planned, and tried."""
        planned = not self._config.drain
        try:
            async with asyncio.timeout(self._config.deadline_s):
                if self._config.drain:
                    ends = await end_offsets(self._config.kafka, [ALERTS.name])
                    while not await self._reached(ends):
                        self._take(await self._consumer.getmany(timeout_ms=50))
                    await self._incidents.flush()
                    if self._tells:
                        await self._plan(hurry=True)
                    planned = True
                await self._commit()
                await self._deliveries.empty()
        except TimeoutError:
            _LOG.warning("%d notices are still under way; they are sent again", self._deliveries.waiting)
        except (KafkaError, BrokerUnavailable) as error:
            _LOG.warning("Kafka is away while this notifier stops, the next one goes on: %s", error)
            planned = not self._config.drain
        return planned

    async def _reached(self, ends: dict[tuple[str, int], int]) -> bool:
        """Whether everything was read: before that it is not known what still stands."""
        for (topic, partition), end in ends.items():
            tp = TopicPartition(topic, partition)
            if tp not in self._positions and tp in self._consumer.assignment():
                self._positions[tp] = int(await self._consumer.position(tp))
            if self._positions.get(tp, 0) < end:
                return False
        return True

    def _take(self, fetched: dict[TopicPartition, Sequence[Any]]) -> None:
        for tp, records in fetched.items():
            for record in records:
                try:
                    transition = Transition.model_validate_json(record.value or b"")
                except ValidationError:
                    self._metrics.unreadable.labels(ALERTS.name).inc()
                    continue
                self._incidents.take(transition)
                if self._tells:
                    self._notices.take(transition, now_ms())
                    self._external.restore([transition])
                    self._began.setdefault(transition.alert, (tp, record.offset))
            self._positions[tp] = records[-1].offset + 1
        waiting = self._notices.waiting()
        self._began = {alert: place for alert, place in self._began.items() if alert in waiting}

    async def _plan(self, *, hurry: bool = False) -> None:
        self._suppression.standing(self._notices.raised())
        planned = self._notices.plan(now_ms(), self._suppression, hurry=hurry)
        held_back = self._suppression.news()
        await self._outbox.deliver([_message(one.alert, one) for one in held_back])
        explained = await self._explainer.explained(self._wanted(planned))
        await self._send([*explained, *self._wanted(self._incidents.due(now_ms(), self._suppression))])
        self._incidents.taken()
        await self._incidents.flush()
        if planned:
            waiting = self._notices.waiting()
            self._began = {alert: place for alert, place in self._began.items() if alert in waiting}

    def _wanted(self, planned: Sequence[Planned]) -> list[Planned]:
        """Those that their receivers take: some hear of no ends, some are gone since they were told."""
        hear_of_ends = {name for name, (settings, _) in self._receivers.items() if settings.send_resolved}
        return [one for one in planned if one.notice.status == "firing" or one.notice.receiver in hear_of_ends]

    async def _send(self, planned: Sequence[Planned]) -> None:
        # Step 1
        self._incidents.known(one.notice for one in planned)
        await self._outbox.deliver([_message(one.notice.id, one) for one in planned])
        # Step 2
        for one in planned:
            await self._deliveries.add(one.notice)

    async def _ended(self, notice: Notice, end: Delivered | Failed) -> None:
        await self._outbox.deliver([_message(notice.id, end)])
        if not isinstance(end, Failed):
            return
        self._incidents.known([], [notice.id])
        if end.fallback is not None and end.fallback in self._receivers:
            await self._send([fallback(notice, end.fallback)])

    async def _commit(self) -> None:
        # Step 3
        offsets = dict(self._positions)
        for tp, offset in self._began.values():
            offsets[tp] = min(offset, offsets.get(tp, offset))
        news = {tp: offset for tp, offset in offsets.items() if self._committed.get(tp) != offset}
        if not news:
            return
        try:
            await self._consumer.commit(news)
            self._committed |= news
        except COMMIT_REFUSED as error:
            _LOG.info("A commit came too late, another notifier works: %s", error)
        except KafkaError as error:
            _LOG.warning("Kafka did not take a commit; the next one says the same and more: %s", error)

    def figures(self) -> Figures:
        """For `/status`."""
        return {
            "receivers": len(self._receivers),
            "waiting": self._deliveries.waiting,
            "suppressed": self._suppression.count,
            "incidents": self._incidents.count,
            "lag_records": self._lag(),
        }

    def _lag(self) -> int:
        mine = self._consumer.assignment()
        return sum(max(0, (self._consumer.highwater(tp) or 0) - self._positions.get(tp, 0)) for tp in mine)


def _message(id_: str, record: Planned | Delivered | Failed | Suppressed) -> Message:
    return Message(NOTIFICATIONS.name, id_.encode(), record.model_dump_json().encode())
