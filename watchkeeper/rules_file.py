"""Rule files: YAML in, rules out, every fault told at once with its line."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from schemas.alerts import Severity
from schemas.errors import BadSettings
from schemas.rules import KINDS, AbsenceRule, RuleFile

MAX_BYTES = 1_048_576


def load_rules(path: Path) -> RuleFile:
    """The rules of a file.

    Raises:
        BadSettings: With every fault, each as `file:line: what`.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BadSettings(f"{path} cannot be read: {error.strerror}. Name a file of rules.") from None
    return parse_rules(text, str(path))


def default_rules() -> RuleFile:
    """The rules that a new installation starts with."""
    return parse_rules((files("watchkeeper") / "rules" / "default.yaml").read_bytes(), "default.yaml")


def parse_rules(text: bytes, name: str) -> RuleFile:
    """The rules of a file's bytes. Raises as `load_rules`."""
    if len(text) > MAX_BYTES:
        raise BadSettings(f"{name}: {len(text)} bytes; at most {MAX_BYTES} are read. Split it.")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadSettings(f"{name}:{line}: this is not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadSettings(f"{name}:1: this is not YAML: {' '.join(str(error).split())}") from None
    faults = [(mark.line + 1, f"{key} is given twice") for key, mark in _repeated(node)]
    file = None
    try:
        file = RuleFile.model_validate(content)
        faults += [(_line(node, place), told) for place, told in _unfit(file)]
    except ValidationError as error:
        faults += [(_line(node, item["loc"]), _what(item)) for item in error.errors(include_url=False)]
    if faults or file is None:
        raise BadSettings("\n".join(f"{name}:{line}: {told}" for line, told in sorted(faults)))
    return file


def _repeated(node: Any) -> Iterator[tuple[str, Any]]:
    """Names that one mapping of the file holds twice: YAML's reader would keep the last of them and say nothing."""
    waiting, seen = [node], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, yaml.SequenceNode):
            waiting += one.value
        elif isinstance(one, yaml.MappingNode):
            keys = [key for key, _ in one.value if isinstance(key, yaml.ScalarNode)]
            values = [key.value for key in keys]
            yield from ((key.value, key.start_mark) for n, key in enumerate(keys) if key.value in values[:n])
            waiting += [value for _, value in one.value]


def _unfit(file: RuleFile) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """What each rule allows for itself, and what makes no sense all the same, with its place."""
    ids = [rule.id for rule in file.rules]
    for number, rule in enumerate(file.rules):
        place = ("rules", number)
        if rule.id in ids[:number]:
            yield (*place, "id"), f"rules.{number}.id: another rule has the id {rule.id} already"
        if not isinstance(rule, AbsenceRule):
            continue
        if rule.forget_after_ms <= rule.after_ms:
            yield (*place, "forget_after"), f"rules.{number}: forget_after must be longer than after"
        if rule.severity is Severity.NONE:
            yield (*place, "severity"), f"rules.{number}.severity: must be warning or critical"


def _what(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"] if part not in KINDS)
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "there is no such field; see docs/rules.md for those that there are"
    elif fault["type"] == "union_tag_not_found":
        message = f"say which kind of rule it is: kind: {', kind: '.join(KINDS[:-1])}, or kind: {KINDS[-1]}"
    elif fault["type"] == "missing":
        message = "this field is required"
    elif not place:
        message = "the file holds no rules: begin with `version: 1` and `rules:`, see docs/rules.md"
    elif isinstance(fault["input"], str | int | float) and repr(fault["input"]) not in message:
        message = f"{message}, not {fault['input']!r}"
    return f"{place}: {message}" if place else message


def _line(node: Any, place: tuple[int | str, ...]) -> int:
    """The line of the deepest node on the way to a fault that the file really has."""
    line = 1
    for part in place:
        if node is None:
            break
        line = node.start_mark.line + 1
        child = _child(node, part)
        node = child if child is not None else (node if part in KINDS else None)
    return node.start_mark.line + 1 if node is not None else line


def _child(node: Any, part: int | str) -> Any:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part]
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    return None
