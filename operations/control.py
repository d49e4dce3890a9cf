"""Rules in force: read from topic `control`, and changed by publishing new versions of them there."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from connect import offsets
from connect.config import KafkaConfig
from connect.kafka import connected
from connect.outbox import Message, Outbox
from connect.reader import TopicReader
from schemas.control import Acknowledgement, Maintenance, RuleControl, Silence
from schemas.errors import BadSettings
from schemas.rules import Rule, RuleFile
from schemas.topics import CONTROL

DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What applying a file changes."""

    added: tuple[Rule, ...]
    changed: tuple[Rule, ...]
    unchanged: tuple[Rule, ...]
    removed: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.added or self.changed or self.removed)


def plan(known: Mapping[str, RuleControl], file: RuleFile, *, prune: bool = False) -> Plan:
    """Compares a file with what is in force.

    Args:
        known: Newest control record by id of the rule; removed rules too.
        file: What shall be in force.
        prune: Whether rules that are not in the file are removed.
    """
    present = {rule_id: record.rule for rule_id, record in known.items() if record.rule is not None}
    wanted = {rule.id for rule in file.rules}
    return Plan(
        added=tuple(rule for rule in file.rules if rule.id not in present),
        changed=tuple(rule for rule in file.rules if rule.id in present and present[rule.id] != rule),
        unchanged=tuple(rule for rule in file.rules if present.get(rule.id) == rule),
        removed=tuple(sorted(set(present) - wanted)) if prune else (),
    )


def switched(known: Mapping[str, RuleControl], rule_id: str, *, enabled: bool) -> Plan:
    """A rule turned on or off, the rest of it as it is. Raises as `in_force`."""
    rule = in_force(known, rule_id)
    if rule.enabled is enabled:
        return Plan(added=(), changed=(), unchanged=(rule,), removed=())
    return Plan(added=(), changed=(rule.model_copy(update={"enabled": enabled}),), unchanged=(), removed=())


def in_force(known: Mapping[str, RuleControl], rule_id: str) -> Rule:
    """A rule that there is, switched on or off.

    Raises:
        BadSettings: There is none of that name.
    """
    record = known.get(rule_id)
    if record is None or record.rule is None:
        there = sorted(name for name, one in known.items() if one.rule is not None)
        raise BadSettings(f"there is no rule {rule_id}; there are {', '.join(there) or 'none'}")
    return record.rule


def records(known: Mapping[str, RuleControl], change: Plan, *, by: str, at_ms: int) -> list[RuleControl]:
    """The control records that carry out a plan."""
    rules: list[tuple[str, Rule | None]] = [(rule.id, rule) for rule in (*change.added, *change.changed)]
    rules += [(rule_id, None) for rule_id in change.removed]
    return [
        RuleControl(
            id=f"rule/{rule_id}",
            version=known[rule_id].version + 1 if rule_id in known else 1,
            at_ms=at_ms,
            by=by,
            rule=rule,
        )
        for rule_id, rule in rules
    ]


async def read(config: KafkaConfig) -> dict[str, RuleControl]:
    """Newest control record of every rule there ever was, by id of the rule."""
    known: dict[str, RuleControl] = {}
    async for value in values(config):
        _remember(known, value)
    return known


async def values(config: KafkaConfig, topic: str = CONTROL.name) -> AsyncIterator[bytes | None]:
    """Everything that stands on `control`, or on another topic."""
    ends = await offsets.end_offsets(config, [topic])
    async with TopicReader(config, topic) as reader:
        while any(reader.positions.get(partition, 0) < end for (_, partition), end in ends.items()):
            for chunk in await reader.read():
                for one in chunk.records:
                    yield one.value


def _remember(known: dict[str, RuleControl], value: bytes | None) -> None:
    try:
        record = RuleControl.model_validate_json(value or b"")
    except ValidationError:
        # Not one of ours, or of a later version: the evaluator reports it, and a listing must not fail on it.
        return
    rule_id = record.id.removeprefix("rule/")
    if rule_id not in known or known[rule_id].version <= record.version:
        known[rule_id] = record


Decision = RuleControl | Silence | Maintenance | Acknowledgement


async def publish(config: KafkaConfig, changes: Sequence[Decision]) -> None:
    """Sends control records; returns when Kafka has acknowledged them all."""
    async with connected(config) as client:
        await Outbox(client).deliver(
            Message(CONTROL.name, change.id.encode(), change.model_dump_json().encode()) for change in changes
        )
