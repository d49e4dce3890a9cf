"""Files that people write in YAML: read into a model, with every fault told at once, each with its line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from schemas.errors import BadSettings

MAX_BYTES = 1_048_576

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[int | str, ...]
Unfit = Callable[[Model], Iterator[tuple[Place, str]]]
"""What each part allows for itself, and what makes no sense all the same, with its place."""


def read(path: Path, what: str) -> bytes:
    """The bytes of a file.

    Raises:
        BadSettings: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSettings(f"{path} cannot be read: {error.strerror}. Name a file of {what}.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a kind of file is spoken of.

    Attributes:
        page: The document that explains its fields.
        part: What has kinds in it, such as `rule`, and these.
        secret: Whether what it holds must not be repeated.
    """

    page: str
    part: str = ""
    kinds: tuple[str, ...] = ()
    secret: bool = False


def parse(text: bytes, name: str, model: type[Model], unfit: Unfit[Model], form: Form) -> Model:
    """What the bytes of a file say.

    Raises:
        BadSettings: With every fault, each as `file:line: what`.
    """
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
    parsed = None
    try:
        parsed = model.model_validate(content)
        faults += [(_line(node, place, form), told) for place, told in unfit(parsed)]
    except ValidationError as error:
        faults += [(_line(node, item["loc"], form), _what(item, form)) for item in error.errors(include_url=False)]
    if faults or parsed is None:
        raise BadSettings("\n".join(f"{name}:{line}: {told}" for line, told in sorted(faults)))
    return parsed


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


def _what(fault: Any, form: Form) -> str:
    page, kinds = form.page, form.kinds
    # Where several forms are possible, the library names each by its own functions, in brackets.
    place = ".".join(str(part) for part in fault["loc"] if part not in kinds and "[" not in str(part))
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = f"there is no such field; see {page} for those that there are"
    elif fault["type"] == "union_tag_not_found":
        message = f"say which kind of {form.part} it is: kind: {', kind: '.join(kinds[:-1])}, or kind: {kinds[-1]}"
    elif fault["type"] == "missing":
        message = "this field is required"
    elif not place:
        message = f"this is no such file: see {page} for how it begins"
    elif not form.secret and isinstance(fault["input"], str | int | float) and repr(fault["input"]) not in message:
        message = f"{message}, not {fault['input']!r}"
    return f"{place}: {message}" if place else message


def _line(node: Any, place: tuple[int | str, ...], form: Form) -> int:
    """The line of the deepest node on the way to a fault that the file really has."""
    line = 1
    for part in place:
        if node is None:
            break
        line = node.start_mark.line + 1
        child = _child(node, part)
        node = child if child is not None else (node if part in form.kinds else None)
    return node.start_mark.line + 1 if node is not None else line


def _child(node: Any, part: int | str) -> Any:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part]
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    return None
