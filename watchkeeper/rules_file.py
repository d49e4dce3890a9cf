"""Rule files: YAML in, rules out, every fault told at once with its line."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from schemas.errors import BadSettings
from schemas.rules import RuleFile

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
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadSettings(f"{name}:1: this is not YAML: {error}") from None
    try:
        return RuleFile.model_validate(content)
    except ValidationError as error:
        faults = [f"{name}:{_line(node, item['loc'])}: {_what(item)}" for item in error.errors(include_url=False)]
        raise BadSettings("\n".join(faults)) from None


def _what(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"] if part not in ("threshold", "absence"))
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "there is no such field; see docs/rules.md for those that there are"
    elif fault["type"] == "union_tag_not_found":
        message = "say which kind of rule it is: kind: threshold, or kind: absence"
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
        node = child if child is not None else (node if part in ("threshold", "absence") else None)
    return node.start_mark.line + 1 if node is not None else line


def _child(node: Any, part: int | str) -> Any:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part]
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    return None
