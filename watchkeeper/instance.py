"""The data folder: locked by the one `watchkeeper up` that uses it, and telling clients where that instance is."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from schemas.errors import PermanentError

KAFKA = "kafka"
CLICKHOUSE = "clickhouse"
"""What an instance may run itself, as `Instance.embedded` names it."""

_FILE = "instance.json"
_LOCK = "lock"


class NotRunning(PermanentError):  # noqa: N818
    """No instance runs on the data folder. The message names the remedy."""


class Locked(PermanentError):  # noqa: N818
    """Another instance runs on the data folder. The message names the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEntry:
    """One process of the instance, as its supervisor knows it.

    Attributes:
        state: `starting`, `running`, `restarting` (waiting for its next start), `stopping` or `stopped`.
        metrics: HOST:PORT of its /metrics and /status; empty where it has none.
    """

    pid: int | None
    state: str
    restarts: int = 0
    started_ms: int = 0
    metrics: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """What `instance.json` says: how to reach a running instance.

    Attributes:
        ready: Whether the start is complete.
        epoch: Incarnation of the topics; empty where Kafka's own ids are used.
        kafka: Bootstrap servers.
        clickhouse: HOST:PORT of the HTTP interface.
        embedded: Which of `kafka` and `clickhouse` the instance runs itself.
        forgetful: Whether its broker keeps nothing when it ends, and has no idempotent producers.
    """

    pid: int
    ready: bool
    epoch: str
    kafka: str
    clickhouse: str
    embedded: tuple[str, ...]
    forgetful: bool
    processes: Mapping[str, ProcessEntry] = field(default_factory=dict)


class DataFolder:
    """The folder of one instance, created if needed and locked from `__enter__` to `__exit__`.

    Args:
        path: The folder.

    Raises:
        Locked: When another process holds the lock.
        PermanentError: When the folder cannot be created or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.path / "logs").mkdir(exist_ok=True)
            self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PermanentError(
                f"the data folder {self.path} cannot be used ({error.strerror}): choose another with --data-dir"
            ) from None
        if not _locked(self._lock):
            os.close(self._lock)
            self._lock = None
            raise Locked(_already(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.path / _FILE).unlink()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write(self, instance: Instance) -> None:
        """Replaces `instance.json` in one step: a reader never sees half of it."""
        new = self.path / f"{_FILE}.new"
        new.write_text(json.dumps(asdict(instance), indent=2), encoding="utf-8")
        new.replace(self.path / _FILE)


def read(path: Path) -> Instance:
    """The instance that runs on a data folder.

    Raises:
        NotRunning: None does.
    """
    try:
        text = (path / _FILE).read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)
    except (OSError, json.JSONDecodeError):
        raise NotRunning(_nothing(path)) from None
    if not _in_use(path):
        raise NotRunning(_nothing(path))
    processes = {name: ProcessEntry(**entry) for name, entry in found.pop("processes").items()}
    return Instance(**{**found, "embedded": tuple(found["embedded"])}, processes=processes)


def _locked(descriptor: int) -> bool:
    # More than once: a client that looks whether the folder is in use holds a shared lock for a moment.
    for _ in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


def _in_use(path: Path) -> bool:
    """Whether the lock is held: a process that was killed holds none, whatever its file says."""
    try:
        descriptor = os.open(path / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _nothing(path: Path) -> str:
    return f"nothing runs on {path}: start it with `watchkeeper up --data-dir {path}`, or name another with --data-dir"


def _already(path: Path) -> str:
    return (
        f"another watchkeeper runs on {path}: look at it with `watchkeeper status --data-dir {path}`,"
        " stop it, or choose another folder with --data-dir"
    )
