"""`watchkeeper rules`: what should alert."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from connect.clock import now_ms
from connect.config import KafkaConfig
from engine.wording import condition, worst_case_delay
from operations import control
from operations.rules_file import file_of, load_rules, written
from schemas.control import RuleControl
from schemas.rules import Rule, RuleFile
from watchkeeper import addresses, rule_tests
from watchkeeper.commands.output import json_lines, table
from watchkeeper.sources import Nested, load
from watchkeeper.whoami import whoami
from watchkeeper.words import counted, moment

PASSED, FAILED = 0, 1
SAME, DIFFERENT = 0, 1


def show(arguments: Nested, config: Path | None, *, as_json: bool) -> None:
    """Prints the rules in force."""
    known = asyncio.run(control.read(addresses.kafka_config(load(arguments, config=config))))
    present = [record for _, record in sorted(known.items()) if record.rule is not None]
    if as_json:
        json_lines(record.model_dump(mode="json") for record in present)
        return
    rows = [
        (
            record.rule.id,
            "on" if record.rule.enabled else "off",
            condition(record.rule),
            str(record.version),
            f"{record.by}, {moment(record.at_ms)}",
        )
        for record in present
        if record.rule is not None
    ]
    table(("rule", "state", "alerts when", "version", "decided by"), rows, empty="no rules are in force")


def show_one(rule_id: str, arguments: Nested, config: Path | None) -> None:
    """Prints a rule in force as a file that `apply` takes.

    Raises:
        BadSettings: There is none of that name.
        BrokerUnavailable: Kafka is away.
    """
    known = asyncio.run(control.read(addresses.kafka_config(load(arguments, config=config))))
    rule, record = control.in_force(known, rule_id), known[rule_id]
    print(f"# version {record.version}, decided by {record.by}, {moment(record.at_ms)}")
    print(f"# {worst_case_delay(rule)}")
    print(file_of([rule]), end="")


def switch(rule_id: str, arguments: Nested, config: Path | None, *, enabled: bool) -> None:
    """Turns a rule on or off. Raises as `show_one`."""
    kafka = addresses.kafka_config(load(arguments, config=config))
    change = asyncio.run(_switched(kafka, rule_id, enabled=enabled))
    state = "on" if enabled else "off"
    print(f"{rule_id} was {state} already" if change.empty else f"{rule_id} is {state}")


async def _switched(kafka: KafkaConfig, rule_id: str, *, enabled: bool) -> control.Plan:
    known = await control.read(kafka)
    return await _published(kafka, known, control.switched(known, rule_id, enabled=enabled))


def diff(path: Path, arguments: Nested, config: Path | None) -> int:
    """Prints what applying a file would change, field by field; the exit code: 1 if anything.

    Raises:
        BadSettings: The file cannot be used.
        BrokerUnavailable: Kafka is away.
    """
    file = load_rules(path)
    known = asyncio.run(control.read(addresses.kafka_config(load(arguments, config=config))))
    change = control.plan(known, file, prune=True)
    for rule in change.added:
        print(f"+ {rule.id}: {condition(rule)}")
    for rule in change.changed:
        print(f"~ {rule.id}: {', '.join(changes(control.in_force(known, rule.id), rule))}")
    for rule_id in change.removed:
        print(f"- {rule_id}, with --prune")
    if change.empty:
        print("no difference")
    return SAME if change.empty else DIFFERENT


def changes(before: Rule, after: Rule) -> Iterator[str]:
    """Field by field, how a rule differs from another."""
    old, new = written(before), written(after)
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield f"{name} {_told(old, name)} => {_told(new, name)}"


def _told(fields: Mapping[str, object], name: str) -> str:
    return str(fields[name]) if name in fields else "its default"


def check(path: Path) -> None:
    """Says that a file can be used.

    Raises:
        BadSettings: With every fault.
    """
    file = load_rules(path)
    if not file.rules:
        print(f"{path}: no rules; `watchkeeper rules apply --prune` with it removes all that are in force")
        return
    print(f"{path}: {counted(len(file.rules), 'rule')}, all good")
    _delays(file.rules)


def test(paths: Sequence[Path]) -> int:
    """Runs files of tests and prints what became of each; the exit code: 1 if one failed.

    Raises:
        BadSettings: A file cannot be used.
    """
    failed = 0
    for path in paths:
        results = rule_tests.run(path)
        for verdict in results.verdicts:
            failed += bool(verdict.faults)
            print(f"{'✗' if verdict.faults else '✓'} {path}: {verdict.name}")
            for fault in verdict.faults:
                print(f"    {fault}")
        for rule in results.rules:
            missed = rule_tests.missed(rule, results.reached[rule.id])
            untested = f"no test comes to {', '.join(missed)}"
            print(f"  {rule.id}: {untested if missed else 'every state is tested'}")
    print(f"{counted(failed, 'test')} failed" if failed else "all tests passed")
    return FAILED if failed else PASSED


def apply(path: Path, arguments: Nested, config: Path | None, *, prune: bool, dry_run: bool) -> None:
    """Puts the rules of a file in force.

    Raises:
        BadSettings: The file cannot be used.
        BrokerUnavailable: Kafka is away; nothing, or a part that is harmless to repeat, was changed.
    """
    file = load_rules(path)
    kafka = addresses.kafka_config(load(arguments, config=config))
    change = asyncio.run(_apply(kafka, file, prune=prune, dry_run=dry_run))
    for word, ids in (
        ("added", [rule.id for rule in change.added]),
        ("changed", [rule.id for rule in change.changed]),
        ("removed", list(change.removed)),
        ("unchanged", [rule.id for rule in change.unchanged]),
    ):
        for rule_id in ids:
            print(f"{word:<10} {rule_id}")
    _delays((*change.added, *change.changed))
    if dry_run and not change.empty:
        print("nothing was changed: this was a dry run")


async def _apply(kafka: KafkaConfig, file: RuleFile, *, prune: bool, dry_run: bool) -> control.Plan:
    known = await control.read(kafka)
    change = control.plan(known, file, prune=prune)
    return change if dry_run else await _published(kafka, known, change)


async def _published(kafka: KafkaConfig, known: Mapping[str, RuleControl], change: control.Plan) -> control.Plan:
    if not change.empty:
        await control.publish(kafka, control.records(known, change, by=whoami(), at_ms=now_ms()))
    return change


def _delays(rules: Iterable[Rule]) -> None:
    by_id = {rule.id: rule for rule in rules}
    for rule in by_id.values():
        print(f"{rule.id}: {worst_case_delay(rule, by_id)}")
