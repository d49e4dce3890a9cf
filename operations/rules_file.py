"""Rule files: YAML in, rules out, every fault told at once with its line."""

from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from operations.yaml_file import Form, Place, parse, read
from schemas.alerts import Severity
from schemas.burn_rate import Burn, BurnRateRule
from schemas.durations import duration
from schemas.matchers import EXTERNAL
from schemas.rules import KINDS, AbsenceRule, Rule, RuleFile, RuleOfRules

_FIRST = ("id", "kind", "description", "metric", "where", "group_by", "over", "warning", "critical")
"""What people read first."""

FORM = Form(page="docs/rules.md", part="rule", kinds=KINDS)


def load_rules(path: Path) -> RuleFile:
    """The rules of a file.

    Raises:
        BadSettings: With every fault, each as `file:line: what`.
    """
    return parse_rules(read(path, "rules"), str(path))


def default_rules() -> RuleFile:
    """The rules that a new installation starts with."""
    return parse_rules((files("operations") / "rules" / "default.yaml").read_bytes(), "default.yaml")


def parse_rules(text: bytes, name: str) -> RuleFile:
    """The rules of a file's bytes. Raises as `load_rules`."""
    return parse(text, name, RuleFile, _unfit, FORM)


def written(rule: Rule) -> dict[str, Any]:
    """The fields of a rule as people write them: without those that have their default."""
    fields = type(rule).model_fields
    given = rule.model_dump(mode="json", exclude_defaults=True)
    found: dict[str, Any] = {"id": rule.id, "kind": rule.kind}
    for name, value in given.items():
        alias = fields[name].alias
        found[alias or name] = _durations(value) if alias is not None else value
    if isinstance(rule, BurnRateRule) and "burns" in found:
        found["burns"] = [_burn(one) for one in rule.burns]
    return {name: found[name] for name in dict.fromkeys((*_FIRST, *found)) if name in found}


def _durations(value: int | list[int]) -> str | list[str]:
    return duration(value) if isinstance(value, int) else [duration(one) for one in value]


def _burn(one: Burn) -> dict[str, Any]:
    windows = {"long": duration(one.long_ms), "short": duration(one.short_ms)}
    return {"factor": one.factor, **windows, "severity": one.severity.value}


def file_of(rules: Iterable[Rule]) -> str:
    """A file of rules, as `load_rules` reads it."""
    content = {"version": 1, "rules": [written(rule) for rule in rules]}
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100))


def _unfit(file: RuleFile) -> Iterator[tuple[Place, str]]:
    ids = [rule.id for rule in file.rules]
    yield from _unfit_parts(file)
    for number, rule in enumerate(file.rules):
        place = ("rules", number)
        if rule.id in ids[:number]:
            yield (*place, "id"), f"rules.{number}.id: another rule has the id {rule.id} already"
        if rule.id.startswith(EXTERNAL):
            yield (*place, "id"), f"rules.{number}.id: {EXTERNAL} begins the names of alerts that other systems raise"
        if not isinstance(rule, AbsenceRule):
            continue
        if rule.forget_after_ms <= rule.after_ms:
            yield (*place, "forget_after"), f"rules.{number}: forget_after must be longer than after"
        if rule.severity is Severity.NONE:
            yield (*place, "severity"), f"rules.{number}.severity: must be warning or critical"


def _unfit_parts(file: RuleFile) -> Iterator[tuple[Place, str]]:
    """What rules over rules name: they must be there, look at metrics, and tell the alerts of the rule apart."""
    by_id = {rule.id: rule for rule in file.rules}
    for number, rule in enumerate(file.rules):
        if not isinstance(rule, RuleOfRules):
            continue
        for name in rule.parts:
            if name not in by_id:
                yield ("rules", number), f"rules.{number}: {rule.id} looks at {name}, which this file does not hold"
            elif isinstance(by_id[name], RuleOfRules):
                yield ("rules", number), f"rules.{number}: {rule.id} looks at {name}, which looks at rules itself"
        grouped = [by_id[name] for name in rule.deciding if name in by_id]
        if grouped and not any(set(rule.group_by) <= set(one.group_by) for one in grouped):
            told = f"none of {', '.join(rule.deciding)} is grouped by all of {', '.join(rule.group_by)}"
            yield ("rules", number, "group_by"), f"rules.{number}.group_by: {told}"
