"""Incidents within one turn of a notifier, which alone decides on them: `engine.incidents` with its topic around it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from pydantic import TypeAdapter, ValidationError

from connect.outbox import Message, Outbox
from connect.reader import TopicReader
from engine.escalation import Escalation
from engine.incidents import Grouping, Incidents
from engine.notices import Notices
from schemas.alerts import Transition
from schemas.control import Acknowledgement
from schemas.incidents import Change, IncidentAction, IncidentEvent, IncidentRecord
from schemas.notifications import Notice, Planned
from schemas.topics import INCIDENTS

_LOG = logging.getLogger(__name__)
_RECORD: TypeAdapter[IncidentEvent | IncidentAction] = TypeAdapter(IncidentRecord)

READ_S = 0.25


class IncidentLog:
    """Events are published in the order in which they were decided, and before the offset of what they follow from.

    Args:
        notices: Told which alerts somebody takes care of.
        unreadable: Counts records that could not be read.
    """

    def __init__(
        self, grouping: Grouping, notices: Notices, outbox: Outbox, escalation: Escalation,
        unreadable: Callable[[], None],
    ) -> None:  # fmt: skip
        self._incidents = Incidents(grouping)
        self._notices = notices
        self._outbox = outbox
        self._escalation = escalation
        self._unreadable = unreadable
        self._pending: list[IncidentEvent] = []
        self._one = asyncio.Lock()
        self._cared: dict[str, int] = {}
        """Of each alert the episode that somebody takes care of because of its incident."""

    async def begin(self, reader: TopicReader) -> None:
        """All that stands on the topic: what was published, then what was asked and is not answered yet."""
        asked: list[IncidentAction] = []
        while not reader.caught_up():
            for one in await self._read(reader):
                if isinstance(one, IncidentEvent):
                    self._incidents.restore(one)
                    self._care(one)
                else:
                    asked.append(one)
        self._act(asked)
        await self.flush()

    async def follow(self, reader: TopicReader) -> None:
        """What people ask from then on."""
        while True:
            self._act(one for one in await self._read(reader) if isinstance(one, IncidentAction))
            await self.flush()

    async def _read(self, reader: TopicReader) -> list[IncidentEvent | IncidentAction]:
        found: list[IncidentEvent | IncidentAction] = []
        for chunk in await reader.read(timeout_s=READ_S):
            for record in chunk.records:
                try:
                    found.append(_RECORD.validate_json(record.value or b""))
                except ValidationError:
                    self._unreadable()
        return found

    def _act(self, actions: Iterable[IncidentAction]) -> None:
        for action in actions:
            if self._incidents.get(action.incident) is None:
                _LOG.warning("%s asked to %s incident %s: it is not known", action.by, action.action, action.incident)
            self._note(self._incidents.act(action))

    def take(self, transition: Transition) -> None:
        """A change of an alert. Call `flush` before its offset is committed."""
        self._note(self._incidents.take(transition))

    def take_standing(self, transition: Transition) -> None:
        """An alert that is raised and of which no transition may be left on the topic."""
        if self._incidents.holder(transition.alert) is None:
            self.take(transition)

    def acknowledge(self, record: Acknowledgement) -> None:
        """Somebody takes care of an alert."""
        self._note(self._incidents.acknowledge(record))

    def snoozed(self, alert: str, at_ms: int) -> str | None:
        """The incident because of which an alert is not to be told at a time."""
        return self._incidents.snoozed(alert, at_ms)

    def _note(self, events: Sequence[IncidentEvent]) -> None:
        for one in events:
            self._care(one)
        self._pending += events

    def _care(self, event: IncidentEvent) -> None:
        about = event.incident
        for one in about.alerts:
            episode_ms = one.episode_ms if about.acknowledged_ms else 0
            changes = self._cared.get(one.alert, 0) != episode_ms
            if changes and (episode_ms or event.change is Change.REOPENED):
                self._cared[one.alert] = episode_ms
                self._notices.acknowledge(one.alert, episode_ms)

    async def flush(self) -> None:
        """Returns when Kafka has every event that was decided."""
        async with self._one:
            events, self._pending = self._pending, []
            await self._outbox.deliver(
                Message(INCIDENTS.name, one.incident.id.encode(), one.model_dump_json().encode()) for one in events
            )

    def known(self, notices: Iterable[Notice], failed: Iterable[str] = ()) -> None:
        """Notices that were planned: none of them is planned again. Ids of those that their receivers did not take."""
        self._escalation.known(notices)
        for id_ in failed:
            self._escalation.failed(id_)

    def due(self, at_ms: int, held_back: Callable[[Transition, int], bool]) -> list[Planned]:
        """Notices of escalation that are due. Call `taken` once they are planned."""
        return self._escalation.due(self._incidents, self._notices.newest_raised, at_ms, held_back)

    def taken(self) -> None:
        """The steps of the last `due` were taken."""
        for id_, step, at_ms in self._escalation.taken():
            self._note(self._incidents.escalated(id_, step, at_ms))

    @property
    def count(self) -> int:
        """Incidents that are open."""
        return len(self._incidents.open())
