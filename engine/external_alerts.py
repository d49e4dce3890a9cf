"""Alerts that other systems raise, such as Prometheus: what they post becomes transitions of a rule `external.<name>`.

They are posted again and again while they stand, and end at the time that the last post gave (Alertmanager's API v2).
A function of what was posted and of time as it is given. What is decided counts only once it is `told`, so that a
decision that could not be published is made again.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from engine.alerts import alert_id
from schemas.alerts import Outcome, Severity, State, Transition
from schemas.dimensions import MAX_DIMENSIONS, MAX_NAME_CHARS, MAX_VALUE_CHARS
from schemas.matchers import EXTERNAL

RESOLVE_TIMEOUT_MS = 300_000
"""An alert that was posted without an end ends so long after its last post."""
MAX_ALERTS = 10_000
METRIC = "external"
_CRITICAL = frozenset({"critical", "crit", "error", "emergency", "alert", "fatal", "page", "disaster", "high"})


class TooMany(Exception):  # noqa: N818
    """More alerts stand than can be kept."""


@dataclass(frozen=True, slots=True)
class Posted:
    """One alert as it was posted.

    Attributes:
        starts_ms: When it began; None: now.
        ends_ms: When it ends or has ended; None: not known.
    """

    labels: Mapping[str, str]
    summary: str = ""
    starts_ms: int | None = None
    ends_ms: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if not self.labels.get("alertname"):
            raise ValueError("an alert needs the label alertname")
        if len(self.labels) > MAX_DIMENSIONS:
            raise ValueError(f"an alert has {MAX_DIMENSIONS} labels at most")
        for name, value in self.labels.items():
            if not 0 < len(name) <= MAX_NAME_CHARS or len(value) > MAX_VALUE_CHARS:
                raise ValueError(
                    f"label {name[:64]!r}: names have {MAX_NAME_CHARS} characters, values {MAX_VALUE_CHARS}"
                )


@dataclass(frozen=True, slots=True)
class Decided:
    """How an alert stands after a post, or after its end.

    Attributes:
        ends_ms: When it ends if it is not posted again.
        news: Whether `newest` is to be published.
    """

    newest: Transition
    ends_ms: int
    news: bool


class ExternalAlerts:
    """All that stand."""

    def __init__(self) -> None:
        self._standing: dict[str, Decided] = {}
        self._newest_ms = 0

    def restore(self, transition: Transition, at_ms: int) -> None:
        """A transition that was published: one that still stands has until the timeout to be posted again."""
        known = self._standing.get(transition.alert)
        if not transition.rule.startswith(EXTERNAL) or (known is not None and known.newest.at_ms >= transition.at_ms):
            return
        self._keep(Decided(transition, at_ms + RESOLVE_TIMEOUT_MS, news=False))

    def posted(self, alerts: Iterable[Posted], at_ms: int) -> list[Decided]:
        """What follows from a post: of each alert at most one, the last.

        Raises:
            TooMany: Nothing of the post counts.
        """
        decided: dict[str, Decided] = {}
        changed_ms = self._changed_ms(at_ms)
        for one in alerts:
            labels = dict(one.labels)
            alert = alert_id(rule_of(labels["alertname"]), labels)
            if (found := self._decide(alert, one, at_ms, changed_ms)) is not None:
                decided[alert] = found
        if len(self._standing.keys() | decided.keys()) > MAX_ALERTS:
            raise TooMany(f"{MAX_ALERTS} alerts stand already: nothing of this was taken")
        return list(decided.values())

    def ended(self, at_ms: int) -> list[Decided]:
        """Alerts whose end has come."""
        changed_ms = self._changed_ms(at_ms)
        return [_end(one, changed_ms) for one in self._standing.values() if one.ends_ms <= at_ms]

    def told(self, decided: Iterable[Decided]) -> None:
        """These were published."""
        for one in decided:
            self._keep(one)

    def _changed_ms(self, at_ms: int) -> int:
        """Later than every change before, though the clock went back: consumers take the later one."""
        return max(at_ms, self._newest_ms + 1)

    def _keep(self, one: Decided) -> None:
        self._newest_ms = max(self._newest_ms, one.newest.at_ms)
        if one.newest.to_state is State.OK:
            self._standing.pop(one.newest.alert, None)
        else:
            self._standing[one.newest.alert] = one

    def _decide(self, alert: str, posted: Posted, at_ms: int, changed_ms: int) -> Decided | None:
        before = self._standing.get(alert)
        ends_ms = at_ms + RESOLVE_TIMEOUT_MS if posted.ends_ms is None else posted.ends_ms
        if ends_ms <= at_ms:
            return _end(before, changed_ms) if before is not None else None
        if before is not None:
            return Decided(before.newest, ends_ms, news=False)
        return Decided(_begin(alert, posted, changed_ms), ends_ms, news=True)


def rule_of(alertname: str) -> str:
    """Ids of rules hold fewer characters than names of alerts: for routes the label `alertname` is what was posted."""
    return EXTERNAL + (re.sub(r"[^a-z0-9_.-]", "-", alertname.lower())[: 128 - len(EXTERNAL)])


def _begin(alert: str, posted: Posted, at_ms: int) -> Transition:
    labels = dict(posted.labels)
    starts_ms = at_ms if posted.starts_ms is None else min(max(0, posted.starts_ms), at_ms)
    return Transition(
        id=_identity(alert, starts_ms, at_ms, State.FIRING),
        alert=alert,
        rule=rule_of(labels["alertname"]),
        rule_version=0,
        entity=labels,
        metric=METRIC,
        episode_ms=starts_ms,
        at_ms=at_ms,
        from_state=State.OK,
        to_state=State.FIRING,
        severity=Severity.CRITICAL if labels.get("severity", "").lower() in _CRITICAL else Severity.WARNING,
        outcome=Outcome.UNDEFINED,
        summary=(posted.summary or f"{labels['alertname']} is firing")[:1024],
    )


def _end(standing: Decided, at_ms: int) -> Decided:
    newest = standing.newest
    changes = {
        "id": _identity(newest.alert, newest.episode_ms, at_ms, State.OK),
        "at_ms": at_ms,
        "from_state": newest.to_state,
        "to_state": State.OK,
    }
    return Decided(newest.model_copy(update=changes), standing.ends_ms, news=True)


def _identity(alert: str, episode_ms: int, at_ms: int, state: State) -> str:
    return blake2b(f"{EXTERNAL}|{alert}|{episode_ms}|{at_ms}|{state}".encode(), digest_size=16).hexdigest()
