"""What the screen, the status lines and `watchkeeper status` show: values only, so that drawing them is pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from watchkeeper.supervisor import Condition

RATED = ("collect", "process", "notify", "sink")


class Health(StrEnum):
    """What a person needs to know of a process, in one word."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    SILENT = "no answer"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """One process.

    Attributes:
        per_s: Samples (of the sink: rows) each second; None where it does not apply or is not known yet.
        lag: Records that wait to be read; None likewise.
        lag_s: Age of the newest record that was read, while others wait; None likewise.
        catch_up_s: Until none waits, at the rate of late; infinite: never; None likewise.
        note: Why it is not healthy, or when it is started again.
    """

    name: str
    health: Health
    pid: int | None = None
    uptime_s: float = 0.0
    restarts: int = 0
    per_s: float | None = None
    lag: int | None = None
    lag_s: float | None = None
    catch_up_s: float | None = None
    memory_bytes: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """One alert that fires, recovers, or fired when its data stopped (`stale`)."""

    rule: str
    entity: Mapping[str, str]
    state: str
    severity: str
    since_ms: int
    value: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to the instance itself."""

    at_ms: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything at one time.

    Attributes:
        alerts: None while ClickHouse does not answer: then it is not known whether something fires.
        newest_rollup_ms: End of the newest window that ClickHouse holds; None: none yet.
        commands: What is worth trying, as it must be typed in the folder `called_in`; empty: in any.
    """

    now_ms: int
    uptime_s: float
    data_dir: str
    kafka: str
    clickhouse: str
    processes: Sequence[ProcessView]
    alerts: Sequence[AlertView] | None = None
    newest_rollup_ms: int | None = None
    events: Sequence[Event] = ()
    commands: Sequence[str] = ()
    called_in: str = ""

    @property
    def healthy(self) -> bool:
        """Whether every process is."""
        return all(process.health is Health.HEALTHY for process in self.processes)

    @property
    def rollup_age_s(self) -> float | None:
        """How long ago the newest stored window ended; 0 while it is open."""
        if not self.newest_rollup_ms:
            return None
        return max(0, self.now_ms - self.newest_rollup_ms) / 1000


def health_of(condition: str, figures: Mapping[str, Any] | None, *, asked: bool) -> Health:
    """One word for a process.

    Args:
        condition: As its supervisor knows it.
        figures: What its /status answered; None: nothing.
        asked: Whether it has a /status at all.
    """
    if condition != Condition.RUNNING:
        return Health(condition)
    if not asked:
        return Health.HEALTHY
    if figures is None:
        return Health.SILENT
    return Health.HEALTHY if figures.get("healthy") else Health.UNHEALTHY


def rate(figures: Mapping[str, Any] | None, before: Mapping[str, Any] | None, seconds: float) -> float | None:
    """What a process handled each second between two answers of its /status; None when that is not known."""
    now, then = (_handled(answer) for answer in (figures, before))
    if now is None or then is None or seconds <= 0 or now < then:
        return None
    return (now - then) / seconds


def _handled(figures: Mapping[str, Any] | None) -> float | None:
    if not figures:
        return None
    value = figures.get("rows_total", figures.get("samples_total"))
    return float(value) if isinstance(value, int | float) else None
