"""Who would have been told what, and when: transitions of the past through silences, groups and routes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.inhibition import InhibitRule, inhibited
from engine.notices import RAISED, Notices
from engine.routing import Route
from engine.silences import Silences
from schemas.alerts import Transition
from schemas.matchers import labels_of
from schemas.notifications import Notice


class Page(NamedTuple):
    """A notice, and what of it is news; nothing where it reminds."""

    notice: Notice
    news: Sequence[Transition]

    @property
    def is_raise(self) -> bool:
        """Whether it tells of an alert that was raised, or got worse: of something to get up for."""
        return any(one.to_state in RAISED for one in self.news)


@dataclass(slots=True)
class Paging:
    """Tells of transitions in virtual time, as the notifier does: each counts as known at its own time.

    Attributes:
        held_back: Alerts that somebody or something kept from being told, each with the first that did.
    """

    root: Route
    silences: Silences = field(default_factory=lambda: Silences([]))
    inhibits: Sequence[InhibitRule] = ()
    held_back: dict[tuple[str, int], str] = field(default_factory=dict)
    _explained: Mapping[str, str] = field(default_factory=dict)

    def play(self, transitions: Sequence[Transition], until_ms: int) -> Iterator[Page]:
        """The notices up to a time.

        Args:
            transitions: In the order of their times.
        """
        notices = Notices(self.root)
        for place, one in enumerate(transitions):
            yield from self._due(notices, one.at_ms - 1)
            notices.take(one, one.at_ms)
            if place + 1 == len(transitions) or transitions[place + 1].at_ms > one.at_ms:
                self._explained = inhibited(self.inhibits, notices.raised()) if self.inhibits else {}
        yield from self._due(notices, until_ms)

    def _due(self, notices: Notices, until_ms: int) -> Iterator[Page]:
        at_ms = 0
        while (due_ms := notices.due_ms()) is not None and max(due_ms, at_ms) <= until_ms:
            at_ms = max(due_ms, at_ms)
            for one in notices.plan(at_ms, self._suppressed):
                yield Page(one.notice, [news for news in one.notice.alerts if news.id in one.includes])
            at_ms += 1

    def _suppressed(self, transition: Transition, at_ms: int) -> bool:
        holders = [one.id for one in self.silences.suppressors(labels_of(transition), at_ms)]
        if (explaining := self._explained.get(transition.alert)) is not None:
            holders.append(f"alert/{explaining}")
        if holders:
            self.held_back.setdefault((transition.alert, transition.episode_ms), holders[0])
        return bool(holders)
