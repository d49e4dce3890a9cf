"""Every rule's newest version, as topic `control` tells it, and which of them were evaluated from when."""

from pydantic import TypeAdapter

from agents.ownership import owner_of
from connect.outbox import Message
from engine.parts import VersionedRule, with_parts
from schemas.control import ControlRecord, RuleApplied, RuleControl
from schemas.topics import CONTROL

_RECORD: TypeAdapter[ControlRecord] = TypeAdapter(ControlRecord)
_RULE, _APPLIED = "rule/", "applied/"


class RuleBook:
    """The newest versions.

    Args:
        partitions: How many `alerts.state` has: they divide the rules.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._newest: dict[str, RuleControl] = {}
        self._applied: dict[str, int] = {}

    def take(self, value: bytes | None) -> bool:
        """One record of `control`; whether it changed a rule.

        Raises:
            ValueError: It cannot be read.
        """
        if value is None:
            return False
        record = _RECORD.validate_json(value)
        if isinstance(record, RuleApplied):
            rule = record.id.removeprefix(_APPLIED)
            self._applied[rule] = max(record.version, self._applied.get(rule, 0))
            return False
        if not isinstance(record, RuleControl):
            return False
        known = self._newest.get(record.id)
        # Of two that were decided at once, under one number, the log keeps the last: so does everybody who reads it.
        if known is not None and (known.version > record.version or known == record):
            return False
        self._newest[record.id] = record
        return True

    def owned(self, partitions: frozenset[int]) -> dict[str, VersionedRule]:
        """Rules that belong to some partitions of `alerts.state`."""
        every = {
            record.rule.id: VersionedRule(record.version, record.rule)
            for record in self._newest.values()
            if record.rule is not None
        }
        ours = {id_: one for id_, one in every.items() if owner_of(id_, self._partitions) in partitions}
        return with_parts(ours, every)

    def applied(self, partitions: frozenset[int], at_ms: int) -> list[Message]:
        """What is to be written down before the decisions of a time: versions, also of removals, that are new there."""
        news = []
        for record in self._newest.values():
            rule = record.id.removeprefix(_RULE)
            if owner_of(rule, self._partitions) in partitions and self._applied.get(rule, -1) < record.version:
                self._applied[rule] = record.version
                news.append(RuleApplied(id=f"{_APPLIED}{rule}", version=record.version, from_ms=at_ms))
        return [Message(CONTROL.name, one.id.encode(), one.model_dump_json().encode()) for one in news]
