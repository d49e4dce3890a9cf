"""What is in force by topic `control`: the newest version of each rule, silence, maintenance and acknowledgement."""

from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from schemas.control import Acknowledgement, ControlRecord, Maintenance, RuleApplied, RuleControl, Silence

_CONTROL: TypeAdapter[ControlRecord] = TypeAdapter(ControlRecord)
_Version = TypeVar("_Version", RuleControl, Silence | Maintenance, Acknowledgement)


@dataclass(slots=True)
class Decisions:
    """The newest versions, those that no longer hold too.

    Attributes:
        rules: By id of the rule.
        hidden: Silences and maintenance, by id.
        acknowledged: By fingerprint of the alert.
    """

    rules: dict[str, RuleControl] = field(default_factory=dict)
    hidden: dict[str, Silence | Maintenance] = field(default_factory=dict)
    acknowledged: dict[str, Acknowledgement] = field(default_factory=dict)

    def take(self, value: bytes | None) -> None:
        """A record of `control`; what cannot be read is passed over: the evaluator reports it."""
        try:
            record = _CONTROL.validate_json(value or b"")
        except ValidationError:
            return
        match record:
            case RuleControl():
                _keep(self.rules, record.id.removeprefix("rule/"), record)
            case Silence() | Maintenance():
                _keep(self.hidden, record.id, record)
            case Acknowledgement():
                _keep(self.acknowledged, record.alert, record)
            case RuleApplied():
                pass


def _keep(known: dict[str, _Version], key: str, record: _Version) -> None:
    if key not in known or known[key].version <= record.version:
        known[key] = record
