"""What is not told for the time being: silenced, in maintenance, or explained by a worse alert."""

from collections.abc import Callable, Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from engine.inhibition import InhibitRule, inhibited
from engine.silences import Silences
from schemas.alerts import Transition
from schemas.control import Acknowledgement, ControlRecord, Maintenance, Silence
from schemas.matchers import labels_of
from schemas.notifications import Suppressed

_CONTROL: TypeAdapter[ControlRecord] = TypeAdapter(ControlRecord)


class Suppression:
    """Judges transitions, and tells of each what holds it back, once.

    Args:
        rules: Which alerts explain others.
        snoozed: The incident because of which an alert is not to be told at a time.
    """

    def __init__(self, rules: Sequence[InhibitRule], snoozed: Callable[[str, int], str | None]) -> None:
        self._rules = rules
        self._snoozed = snoozed
        self._records: dict[str, Silence | Maintenance] = {}
        self._silences = Silences([])
        self.acknowledged: dict[str, Acknowledgement] = {}
        """Of each alert who takes care of which episode, since the last look."""
        self._explained: Mapping[str, str] = {}
        self._told: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._news: list[Suppressed] = []

    def take(self, values: Sequence[bytes | None]) -> int:
        """Records of `control`; how many could not be read."""
        unreadable, known = 0, len(self._records)
        changed = False
        for value in values:
            try:
                record = _CONTROL.validate_json(value or b"")
            except ValidationError:
                unreadable += value is not None
                continue
            if isinstance(record, Acknowledgement):
                self.acknowledged[record.alert] = record
            if isinstance(record, Silence | Maintenance):
                before = self._records.get(record.id)
                if before is None or before.version <= record.version:
                    self._records[record.id], changed = record, True
        if changed or len(self._records) != known:
            self._silences = Silences(self._records.values())
        return unreadable

    def standing(self, raised: Mapping[str, Mapping[str, str]]) -> None:
        """The alerts that are raised now."""
        self._explained = inhibited(self._rules, raised)

    def __call__(self, transition: Transition, at_ms: int) -> bool:
        """Whether a transition is not to be told at a time."""
        silenced, explained = self.holders(transition, at_ms)
        by = silenced + [f"alert/{one}" for one in explained]
        if not by:
            self._told.pop(transition.alert, None)
            return False
        said = (transition.id, tuple(by))
        if self._told.get(transition.alert) != said:
            self._told[transition.alert] = said
            self._news.append(Suppressed(transition=transition.id, alert=transition.alert, at_ms=at_ms, by=by[:64]))
        return True

    def holders(self, transition: Transition, at_ms: int) -> tuple[list[str], list[str]]:
        """What holds a transition back at a time: ids of silences, maintenance and incidents, and what explains it."""
        explained = self._explained.get(transition.alert)
        silenced = [one.id for one in self._silences.suppressors(labels_of(transition), at_ms)]
        if (incident := self._snoozed(transition.alert, at_ms)) is not None:
            silenced.append(f"incident/{incident}")
        return silenced, [explained] if explained is not None else []

    def silences(self) -> list[Silence]:
        """Every silence that is known, those that ended too."""
        return [one for one in self._records.values() if isinstance(one, Silence)]

    def news(self) -> list[Suppressed]:
        """What was held back since the last call, and was not told before."""
        news, self._news = self._news, []
        return news

    @property
    def count(self) -> int:
        """Alerts that are held back."""
        return len(self._told)
