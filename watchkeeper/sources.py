"""Reads the settings: arguments over environment over file over defaults, and tells where each value came from."""

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from schemas.errors import BadSettings
from watchkeeper import locate
from watchkeeper.settings import ENV_PREFIX, Settings

Name = tuple[str, ...]
Nested = dict[str, Any]

_RESERVED = (locate.CONFIG_VARIABLE, "WATCHKEEPER_TEST_")
HIDDEN = "**********"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The settings and the origin of each.

    Attributes:
        origins: Name of a setting, such as `("kafka", "bootstrap")`, to where it was set; missing: its default holds.
        notes: What looks like a mistake and is none for certain.
    """

    settings: Settings
    origins: Mapping[Name, str]
    notes: tuple[str, ...] = ()

    def is_set(self, *name: str) -> bool:
        """Whether someone set it."""
        return name in self.origins


def load(arguments: Nested | None = None, *, config: Path | None = None) -> Loaded:
    """The settings of this process.

    Args:
        arguments: What the command line says, nested like the settings; None: not given.
        config: The file, where the command line names one.

    Raises:
        BadSettings: With all faults, each with where it came from.
    """
    given = _without_none(arguments or {})
    layers = [(given, "argument"), *_environment()]
    folder = given.get("data_dir") or _first(layers, "data_dir") or locate.default_data_dir()
    path = locate.config_file(config, Path(folder))
    if path is not None:
        layers.append((locate.read_toml(path), f"file {path}"))
    merged: Nested = {}
    origins: dict[Name, str] = {}
    for values, origin in reversed(layers):
        _merge(merged, values)
        origins |= {name: _origin(origin, name) for name, _ in _flat(values)}
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise BadSettings(_report(error, origins)) from None
    return Loaded(settings=settings, origins=origins, notes=tuple(_notes(os.environ)))


def fields(model: type[BaseModel] = Settings, prefix: Name = ()) -> Iterator[tuple[Name, FieldInfo]]:
    """Every single setting with its name."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, (*prefix, name))
        else:
            yield (*prefix, name), field


def value_of(settings: Settings, name: Name) -> Any:
    """The value of one setting."""
    value: Any = settings
    for part in name:
        value = getattr(value, part)
    return value


def variable(name: Name) -> str:
    """The environment variable of a setting."""
    return ENV_PREFIX + "_".join(name).upper()


def environment(settings: Settings) -> dict[str, str]:
    """These settings as environment variables: how `up` hands them to its children. Holds the secrets."""
    values = {variable(name): _text(value_of(settings, name)) for name, _ in fields()}
    return {key: text for key, text in values.items() if text is not None} | {locate.CONFIG_VARIABLE: locate.NO_FILE}


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict | bool):
        return json.dumps(value)
    return str(value)


def _without_none(values: Nested) -> Nested:
    """What the command line really says: options that were not given are None."""
    nested = {name: _without_none(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in nested.items() if value is not None and value != {}}


def _environment() -> list[tuple[Nested, str]]:
    try:
        return [(EnvSettingsSource(Settings)(), "environment")]
    except SettingsError as error:
        raise BadSettings(f"the environment cannot be used: {error}") from None


def _first(layers: list[tuple[Nested, str]], name: str) -> Any:
    return next((values[name] for values, _ in layers if values.get(name)), None)


def _merge(into: Nested, values: Nested) -> None:
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict) and name in Settings.model_fields:
            _merge(into[name], value)
        else:
            into[name] = dict(value) if isinstance(value, dict) else value


def _flat(values: Nested, prefix: Name = ()) -> Iterator[tuple[Name, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and not prefix:
            yield from _flat(value, (name,))
        else:
            yield (*prefix, name), value


def _origin(origin: str, name: Name) -> str:
    return f"environment {variable(name)}" if origin == "environment" else origin


def _report(error: ValidationError, origins: Mapping[Name, str]) -> str:
    faults = [_fault(fault, origins) for fault in error.errors(include_url=False)]
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return f"{count} in the settings:\n" + "\n".join(f"  {fault}" for fault in faults)


def _fault(fault: Any, origins: Mapping[Name, str]) -> str:
    name = tuple(str(part) for part in fault["loc"][:2])
    origin = origins.get(name) or origins.get(name[:1])
    where = f"{'.'.join(name)} ({origin})" if origin else ".".join(name)
    if fault["type"] == "extra_forbidden":
        return f"{where}: there is no such setting{_suggestion(name)}"
    message = fault["msg"].removeprefix("Value error, ")
    given = fault["input"]
    shown = "" if _is_secret(name) or "Value error" in fault["msg"] or given is None else f", not {given!r}"
    return f"{where}: {message[0].lower()}{message[1:]}{shown}"


def _suggestion(name: Name) -> str:
    known = [".".join(known) for known, _ in fields()]
    close = difflib.get_close_matches(".".join(name), known, n=1)
    return f"; did you mean {close[0]}?" if close else "; `watchkeeper config show` lists all"


def _is_secret(name: Name) -> bool:
    return any(known == name and field.annotation is SecretStr for known, field in fields())


def _notes(environ: Mapping[str, str]) -> Iterator[str]:
    known = {variable(name) for name, _ in fields()} | {variable((section,)) for section in Settings.model_fields}
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name not in known and not name.startswith(_RESERVED):
            yield f"{name} is set in the environment and names no setting: it is ignored"
