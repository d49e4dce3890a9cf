"""Where the data folder and the settings file are. Light on imports, so that `watchkeeper status` starts at once."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.errors import BadSettings

CONFIG_NAME = "watchkeeper.toml"
CONFIG_VARIABLE = "WATCHKEEPER_CONFIG"
DATA_DIR_VARIABLE = "WATCHKEEPER_DATA_DIR"
NO_FILE = "none"
"""Value of the variable that says: read no file. Children of `up` get it, with all settings beside it."""


def default_data_dir() -> Path:
    """The user's data folder on this platform."""
    import platformdirs

    return Path(platformdirs.user_data_dir("watchkeeper", appauthor=False))


def data_dir(argument: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The data folder: the argument, else the environment, else the settings file, else the user's data folder.

    Raises:
        BadSettings: The settings file cannot be read.
    """
    named = argument or environ.get(DATA_DIR_VARIABLE) or _from_file(environ) or default_data_dir()
    return Path(named).expanduser().absolute()


def _from_file(environ: Mapping[str, str]) -> str | None:
    path = config_file(None, None, environ)
    value = read_toml(path).get("data_dir") if path else None
    return value if isinstance(value, str) else None


def config_file(
    argument: Path | None, data_folder: Path | None, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """The settings file: the argument, else the environment's, else `watchkeeper.toml` here, else in the data folder.

    Raises:
        BadSettings: A file was named that is not there.
    """
    named = argument or environ.get(CONFIG_VARIABLE)
    if named == NO_FILE:
        return None
    if named:
        path = Path(named).expanduser()
        if not _is_file(path):
            raise BadSettings(f"there is no settings file {path}: create it, or name another with --config")
        return path
    folders = [Path(), *([data_folder] if data_folder else [])]
    return next((folder / CONFIG_NAME for folder in folders if _is_file(folder / CONFIG_NAME)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def read_toml(path: Path) -> dict[str, Any]:
    """What the file says.

    Raises:
        BadSettings: It is not readable, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} is not TOML: {error}") from None
    except OSError as error:
        raise BadSettings(f"{path} cannot be read: {error.strerror}") from None
