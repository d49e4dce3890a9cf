"""`watchkeeper config`: whether the settings can be used, and what they are."""

import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from watchkeeper.sources import HIDDEN, Loaded, Name, Nested, fields, load, value_of
from watchkeeper.words import counted


def check(arguments: Nested, config: Path | None) -> None:
    """Prints that all is well, and what looks like a mistake.

    Raises:
        BadSettings: With every fault.
    """
    loaded = load(arguments, config=config)
    for note in loaded.notes:
        print(f"note: {note}")
    given = counted(len(loaded.origins), "setting")
    print(f"the settings are good; {given} given, the others have their defaults")


def show(arguments: Nested, config: Path | None) -> None:
    """Prints all settings."""
    print(as_toml(load(arguments, config=config)), end="")


def as_toml(loaded: Loaded) -> str:
    """The settings as a file that could be read again, but for the secrets; each line tells its origin."""
    lines: list[str] = []
    section: Name = ()
    for name, _ in sorted(fields(), key=lambda pair: len(pair[0]) > 1):
        if name[:-1] != section:
            section = name[:-1]
            lines.append(f"\n[{'.'.join(section)}]")
        lines.append(_line(loaded, name))
    return "\n".join(lines) + "\n"


def _line(loaded: Loaded, name: Name) -> str:
    value = value_of(loaded.settings, name)
    origin = loaded.origins.get(name, "default")
    if value is None:
        return f"# {name[-1]} is not set"
    return f"{name[-1]} = {_literal(value)}  # {origin}"


def _literal(value: Any) -> str:
    if isinstance(value, SecretStr):
        return json.dumps(HIDDEN if value.get_secret_value() else "")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {item}" for key, item in value.items()) + "}"
    return json.dumps(str(value) if isinstance(value, Path) else value)
