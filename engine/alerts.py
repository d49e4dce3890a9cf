"""The state machine of one alert. Time, value and rule are arguments; equal arguments give equal transitions."""

from dataclasses import dataclass
from hashlib import blake2b

from engine.rules import Judgement, Reading, held, judge, measured
from schemas.alerts import AlertState, Outcome, Severity, State, Transition
from schemas.dimensions import canonical, fingerprint
from schemas.rules import WINDOW_MS, AbsenceRule, Compared, Rule

_RAISED = (State.FIRING, State.RECOVERING)
_RANK = {Severity.NONE: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


@dataclass(frozen=True, slots=True)
class Moment:
    """When, under which version of the rule, and what is missing.

    Attributes:
        partial: Input partitions are left out.
        unseen: The grid point before was not evaluated: what happened since the last one is not known.
        window_ms: Length of the windows.
    """

    at_ms: int
    version: int
    partial: bool = False
    unseen: bool = False
    window_ms: int = WINDOW_MS


@dataclass(frozen=True, slots=True)
class _Next:
    """Where to go, and as what."""

    state: State
    severity: Severity
    good_windows: int = 0
    breaches: int = 0


def alert_id(rule: str, entity: dict[str, str]) -> str:
    """Fingerprint of an alert: 16 hexadecimal digits."""
    return f"{fingerprint(rule, '', canonical(entity)):016x}"


def new_alert(rule: Rule, entity: dict[str, str], version: int) -> AlertState:
    """An alert that nothing is known of."""
    return AlertState(
        alert=alert_id(rule.id, entity),
        rule=rule.id,
        rule_version=version,
        entity=entity,
        state=State.OK,
        severity=Severity.NONE,
    )


def step(before: AlertState, reading: Reading, rule: Rule, moment: Moment) -> AlertState:
    """The alert after one evaluation. Its transitions are in `unsent`, newest last.

    An evaluation that is `partial` may raise, never resolve or report absence. One that the state already includes
    changes nothing.
    """
    if moment.at_ms <= before.evaluated_ms:
        return before.model_copy(update={"unsent": []})
    silent = before.silent_windows + 1 if reading.outcome is Outcome.NO_DATA else 0
    judged = _judged(rule, reading, silent, moment)
    state = before.resume if before.state is State.STALE and silent == 0 else before.state
    following = _following(before, state, rule, judged, moment)
    if isinstance(rule, Compared) and _stale(before, rule, silent, moment):
        following = _Next(State.STALE, before.severity, before.good_windows)
    elif forgotten(rule, silent, moment.window_ms) and not moment.partial:
        following = _Next(State.OK, Severity.NONE)
    return _moved(before, following, rule=rule, reading=reading, judged=judged, moment=moment, silent=silent)


def forgotten(rule: Rule, silent_windows: int, window_ms: int) -> bool:
    """Whether an entity was silent for so long that it is no longer expected."""
    return isinstance(rule, AbsenceRule) and silent_windows * window_ms >= max(rule.forget_after_ms, window_ms)


def _stale(before: AlertState, rule: Compared, silent: int, moment: Moment) -> bool:
    if before.state is State.STALE:
        return silent > 0
    return (
        before.state is not State.OK
        and not moment.partial
        and silent * moment.window_ms >= max(rule.stale_after_ms, moment.window_ms)
    )


def _judged(rule: Rule, reading: Reading, silent: int, moment: Moment) -> Judgement | None:
    """None where nothing can be said: the state stays."""
    if isinstance(rule, AbsenceRule):
        if silent:
            absent = silent * moment.window_ms >= rule.after_ms
            return Judgement(rule.severity, good=False, threshold=rule.after_ms / 1000) if absent else None
        return Judgement(Severity.NONE, good=True, threshold=rule.after_ms / 1000)
    if reading.outcome is not Outcome.VALUE or reading.value is None:
        return None
    return judge(rule, reading.value, reading.surely)


def _following(before: AlertState, state: State, rule: Rule, judged: Judgement | None, moment: Moment) -> _Next:
    recent = _recent(before, rule, moment)
    same = _Next(state, before.severity, before.good_windows, recent)
    if judged is None or (isinstance(rule, AbsenceRule) and moment.partial):
        return same
    if judged.severity is not Severity.NONE:
        return _breached(before, state, rule, judged, moment, recent | 1)
    if moment.partial or (state is State.PENDING and recent):
        return _Next(state, before.severity, 0, recent)
    if not judged.good:
        # Between the threshold and the way back: what is raised stays, what waits to be raised has not held.
        return _Next(State.OK, Severity.NONE) if state is State.PENDING else _Next(state, before.severity, 0)
    return _better(before, state, rule)


def _recent(before: AlertState, rule: Rule, moment: Moment) -> int:
    """Which of the windows before this one count: none of those before a silence, or that nobody saw."""
    if before.state is not State.PENDING or moment.unseen or not isinstance(rule, Compared):
        return 0
    return (before.breaches << 1) & ((1 << rule.windows) - 1)


def _breached(before: AlertState, state: State, rule: Rule, judged: Judgement, moment: Moment, breaches: int) -> _Next:
    severity = judged.severity
    if moment.partial and _RANK[severity] < _RANK[before.severity]:
        severity = before.severity
    if state in _RAISED:
        return _Next(State.FIRING, severity)
    wait_ms, enough = (rule.for_ms, rule.breaches) if isinstance(rule, Compared) else (0, 1)
    # What waits to be raised must have held all the time: silence, or a stop, and it waits anew.
    since_ms = before.since_ms if before.state is State.PENDING and not moment.unseen else moment.at_ms
    if state is State.OK:
        return _Next(State.PENDING if isinstance(rule, Compared) else State.FIRING, severity, breaches=breaches)
    fires = moment.at_ms - since_ms >= wait_ms and breaches.bit_count() >= enough
    return _Next(State.FIRING if fires else State.PENDING, severity, breaches=breaches)


def _better(before: AlertState, state: State, rule: Rule) -> _Next:
    if state not in _RAISED:
        return _Next(State.OK, Severity.NONE)
    good = before.good_windows + 1
    if good >= rule.good_windows:
        return _Next(State.OK, Severity.NONE)
    return _Next(State.RECOVERING, before.severity, good)


def _moved(
    before: AlertState,
    following: _Next,
    *,
    rule: Rule,
    reading: Reading,
    judged: Judgement | None,
    moment: Moment,
    silent: int,
) -> AlertState:
    opened = before.state is State.OK and following.state is not State.OK
    episode_ms = moment.at_ms if opened else before.episode_ms
    changed = following.state is not before.state
    waits_anew = moment.unseen and following.state is State.PENDING
    # A rule that waits for nothing still passes through pending, so that consumers see one order of states.
    steps = [following.state]
    at_once = isinstance(rule, Compared) and rule.for_ms == 0 and rule.breaches == 1
    if opened and following.state is State.PENDING and at_once:
        steps = [State.PENDING, State.FIRING]
    escalated = not changed and following.state in _RAISED and following.severity is not before.severity
    transitions: list[Transition] = []
    if changed or escalated:
        origin = before.state
        for revision, state in enumerate(steps):
            severity = before.severity if state is State.OK else following.severity
            transitions.append(
                _transition(before, origin, state, severity, rule=rule, reading=reading, judged=judged, moment=moment,
                            episode_ms=episode_ms, revision=revision)
            )  # fmt: skip
            origin = state
    return before.model_copy(
        update={
            "rule_version": moment.version,
            "state": steps[-1],
            "severity": following.severity,
            "episode_ms": 0 if steps[-1] is State.OK else episode_ms,
            "since_ms": moment.at_ms if changed or waits_anew else before.since_ms,
            "evaluated_ms": moment.at_ms,
            "good_windows": following.good_windows,
            "breaches": following.breaches if steps[-1] is State.PENDING else 0,
            "silent_windows": silent,
            "resume": before.state if following.state is State.STALE and changed else before.resume,
            "unsent": transitions,
        }
    )


def withdrawn(before: AlertState, rule: Rule, moment: Moment, why: str) -> AlertState:
    """The alert when its rule is disabled or removed."""
    if before.state is State.OK:
        return before.model_copy(update={"unsent": []})
    transition = _transition(
        before, before.state, State.OK, before.severity, rule=rule, reading=Reading(Outcome.UNDEFINED), judged=None,
        moment=moment, episode_ms=before.episode_ms, revision=0, why=why,
    )  # fmt: skip
    update = {"state": State.OK, "severity": Severity.NONE, "episode_ms": 0, "good_windows": 0, "unsent": [transition]}
    return before.model_copy(update={**update, "evaluated_ms": max(moment.at_ms, before.evaluated_ms)})


def _transition(
    before: AlertState,
    origin: State,
    state: State,
    severity: Severity,
    *,
    rule: Rule,
    reading: Reading,
    judged: Judgement | None,
    moment: Moment,
    episode_ms: int,
    revision: int,
    why: str = "",
) -> Transition:
    identity = f"{rule.id}|{before.alert}|{episode_ms}|{moment.at_ms}|{severity}|{state}|{revision}"
    threshold = judged.threshold if judged is not None else None
    if isinstance(rule, AbsenceRule) and state is State.OK and reading.outcome is Outcome.NO_DATA:
        why = f"no {rule.metric} for {rule.forget_after_ms / 1000:g} s: it is no longer expected"
    return Transition(
        id=blake2b(identity.encode(), digest_size=16).hexdigest(),
        alert=before.alert,
        rule=rule.id,
        rule_version=moment.version,
        entity=before.entity,
        metric=rule.metric,
        episode_ms=episode_ms,
        at_ms=moment.at_ms,
        from_state=origin,
        to_state=state,
        severity=severity,
        revision=revision,
        outcome=reading.outcome,
        value=reading.value,
        threshold=threshold,
        partial=moment.partial,
        summary=why or summary(rule, before.entity, state, severity, value=reading.value, threshold=threshold),
    )


def summary(
    rule: Rule,
    entity: dict[str, str],
    state: State,
    severity: Severity,
    *,
    value: float | None,
    threshold: float | None,
) -> str:
    """One sentence for a person."""
    who = ", ".join(part for part in entity.values() if part) or "everything"
    if state is State.STALE:
        return f"{rule.metric} of {who} is silent: the alert stands as it was, unconfirmed"
    if isinstance(rule, AbsenceRule):
        silent = f"no {rule.metric} from {who} for {rule.after_ms / 1000:g} s"
        return silent if state in (State.FIRING, State.PENDING) else f"{rule.metric} from {who} is back"
    if value is None or threshold is None:
        return f"{rule.metric} of {who}: {state}"
    told = f"{measured(rule)} {value:.6g}"
    if state in (State.OK, State.RECOVERING):
        return f"{told} is back from {rule.direction} {threshold:g} on {who}"
    how_long = held(rule) if state is State.FIRING else ""
    return f"{told} {rule.direction} {severity} {threshold:g}{how_long} on {who}"
