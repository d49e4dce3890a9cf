"""The state machine of one alert. Time, value and rule are arguments; equal arguments give equal transitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from engine.early import anticipates, as_said, said
from engine.flapping import flaps, sides_after
from engine.rules import Judgement, Reading
from engine.transitions import Finding, Moment, transition
from engine.verdicts import RANK, forgotten, is_silent, verdict
from schemas.alerts import AlertState, Outcome, Severity, State, Transition
from schemas.dimensions import canonical, fingerprint
from schemas.rules import AbsenceRule, Compared, Rule

_RAISED = (State.FIRING, State.RECOVERING)


@dataclass(frozen=True, slots=True)
class _Next:
    """Where to go, and as what."""

    state: State
    severity: Severity
    good_windows: int = 0
    breaches: int = 0
    flapping: bool = False


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
    """The alert after an evaluation that it does not include yet. Its transitions are in `unsent`, newest last.

    An evaluation that is `partial` may raise, never resolve or report absence. What was said early of the same grid
    point is not said again.
    """
    silent = before.silent_windows + 1 if reading.outcome is Outcome.NO_DATA else 0
    return _stepped(as_said(before), Finding(rule, reading, verdict(rule, reading, silent, moment), moment), silent)


def anticipated(before: AlertState, reading: Reading, rule: Rule, moment: Moment) -> AlertState | None:
    """The same alert with what can be said of a grid point before its windows have closed; None: nothing yet.

    Args:
        reading: Of data that later data only add to, see `engine.early`.
        moment: The grid point after the last one that was evaluated.
    """
    known, judged = as_said(before), verdict(rule, reading, 0, moment)
    told = known.severity if known.state is State.FIRING else Severity.NONE
    included = moment.at_ms <= before.evaluated_ms
    if included or judged is None or RANK[judged.severity] <= max(RANK[told], RANK[before.severity] - 1):
        return None
    news = _stepped(known, Finding(rule, reading, judged, moment), 0).unsent
    update = {"evaluated_ms": moment.at_ms - moment.window_ms, "unsent": [*said(before), *news]}
    return before.model_copy(update=update) if news else None


def left_out(before: AlertState, several: Sequence[AlertState], rule: Rule, moment: Moment) -> AlertState:
    """The alert of a rule itself after one evaluation: it tells how many alerts did not open.

    Args:
        several: As they would be, had they opened.
    """
    worst = max((one.severity for one in several), key=RANK.__getitem__, default=Severity.NONE)
    judged = Judgement(worst, good=not several, threshold=float(rule.max_alerts))
    reading = Reading(Outcome.VALUE, float(rule.max_alerts + len(several)))
    return _stepped(before, Finding(rule, reading, judged, moment, len(several)), 0)


def kept_closed(before: AlertState, opened: AlertState) -> AlertState:
    """An alert that would have opened, and may not."""
    return before.model_copy(
        update={
            **{name: getattr(opened, name) for name in ("rule_version", "evaluated_ms", "silent_windows", "seen_ms")},
            "sides": opened.sides & ~1,
            "unsent": [],
        }
    )


def _stepped(before: AlertState, finding: Finding, silent: int) -> AlertState:
    rule, judged, moment = finding.rule, finding.judged, finding.moment
    state = before.resume if before.state is State.STALE and silent == 0 else before.state
    following = _following(before, state, rule, judged, moment)
    seen_ms = _seen_ms(before, silent, rule, moment)
    sides = sides_after(before, judged, rule, moment)
    gone = forgotten(rule, silent, moment.window_ms) and not moment.partial
    is_new = before.state is State.OK and moment.at_ms - seen_ms < rule.grace_ms
    if isinstance(rule, Compared) and _stale(before, rule, silent, moment):
        following = _Next(State.STALE, before.severity, before.good_windows)
    elif gone or is_new:
        following, sides = _Next(State.OK, Severity.NONE), 0
    elif (before.state in _RAISED or following.state in _RAISED) and flaps(before, sides, rule):
        following = _flapping(before, following)
    return _moved(before, following, finding, {"silent_windows": silent, "seen_ms": seen_ms, "sides": sides})


def _seen_ms(before: AlertState, silent: int, rule: Rule, moment: Moment) -> int:
    """Since when an entity is there: one that was silent for longer than its grace comes anew."""
    if silent or not rule.grace_ms:
        return before.seen_ms
    gone = before.silent_windows * moment.window_ms >= max(rule.grace_ms, moment.window_ms)
    return moment.at_ms if gone or not before.seen_ms else before.seen_ms


def _stale(before: AlertState, rule: Compared, silent: int, moment: Moment) -> bool:
    if before.state is State.STALE:
        return silent > 0
    return (
        rule.on_no_data == "stale"
        and before.state is not State.OK
        and not moment.partial
        and is_silent(rule, silent, moment)
    )


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
    return _better(before, state, rule, moment)


def _recent(before: AlertState, rule: Rule, moment: Moment) -> int:
    """Which of the windows before this one count: none of those before a silence, or that nobody saw."""
    if before.state is not State.PENDING or moment.unseen or not isinstance(rule, Compared):
        return 0
    return (before.breaches << 1) & ((1 << rule.windows) - 1)


def _breached(before: AlertState, state: State, rule: Rule, judged: Judgement, moment: Moment, breaches: int) -> _Next:
    severity = judged.severity
    if moment.partial and RANK[severity] < RANK[before.severity]:
        severity = before.severity
    if state in _RAISED:
        return _Next(State.FIRING, severity)
    wait_ms, enough = _wait(rule)
    # What waits to be raised must have held all the time: silence, or a stop, and it waits anew.
    since_ms = before.since_ms if before.state is State.PENDING and not moment.unseen else moment.at_ms
    waits = wait_ms > 0 or enough > 1
    if state is State.OK:
        return _Next(State.PENDING if waits else State.FIRING, severity, breaches=breaches)
    fires = moment.at_ms - since_ms >= wait_ms and breaches.bit_count() >= enough
    return _Next(State.FIRING if fires else State.PENDING, severity, breaches=breaches)


def _wait(rule: Rule) -> tuple[int, int]:
    """How long a rule must be breached, and in how many windows, before it fires."""
    if isinstance(rule, AbsenceRule):
        return 0, 1
    return rule.for_ms, rule.breaches if isinstance(rule, Compared) else 1


def _better(before: AlertState, state: State, rule: Rule, moment: Moment) -> _Next:
    if state not in _RAISED:
        return _Next(State.OK, Severity.NONE)
    good = before.good_windows + 1
    # The first good window is the one that it came back in: no time has passed since.
    if good >= rule.good_windows and (good - 1) * moment.window_ms >= rule.keep_firing_for_ms:
        return _Next(State.OK, Severity.NONE)
    return _Next(State.RECOVERING, before.severity, good)


def _flapping(before: AlertState, following: _Next) -> _Next:
    """Firing while it flaps, as bad as it was at worst, however it stands; good windows are counted on."""
    good = before.good_windows + 1 if following.state is State.OK else following.good_windows
    worst = max((before.severity, following.severity), key=RANK.__getitem__)
    return replace(following, state=State.FIRING, severity=worst, good_windows=good, flapping=True)


def _moved(before: AlertState, following: _Next, finding: Finding, counts: Mapping[str, int]) -> AlertState:
    moment = finding.moment
    episode_ms = moment.at_ms if before.state is State.OK else before.episode_ms
    ended = following.state is State.OK
    changed = following.state is not before.state
    waits_anew = moment.unseen and following.state is State.PENDING
    return before.model_copy(
        update={
            "rule_version": moment.version,
            "state": following.state,
            "severity": following.severity,
            "flapping": following.flapping,
            "episode_ms": 0 if ended else episode_ms,
            "since_ms": moment.at_ms if changed or waits_anew else before.since_ms,
            "evaluated_ms": moment.at_ms,
            "good_windows": following.good_windows,
            "breaches": following.breaches if following.state is State.PENDING else 0,
            "resume": before.state if following.state is State.STALE and changed else before.resume,
            "unsent": _transitions(before, following, finding, episode_ms),
            **counts,
        }
    )


def _transitions(before: AlertState, following: _Next, finding: Finding, episode_ms: int) -> list[Transition]:
    escalated = following.state in _RAISED and following.severity is not before.severity
    turned = following.flapping is not before.flapping
    if following.state is before.state and not escalated and not turned:
        return []
    episode = [(before.state, before.severity), *_path(before, following, finding.rule)]
    first = _revision(before, finding.moment)
    return [
        transition(
            before,
            (origin, state, severity),
            finding.of(severity),
            episode_ms=episode_ms,
            revision=first + number,
            flapping=following.flapping and state is State.FIRING,
        )
        for number, ((origin, _), (state, severity)) in enumerate(pairwise(episode))
    ]


def _path(before: AlertState, following: _Next, rule: Rule) -> list[tuple[State, Severity]]:
    """The states on the way: consumers see one order of states, whether or not the first of them were said early."""
    if following.state is not State.FIRING:
        return [(following.state, before.severity if following.state is State.OK else following.severity)]
    rungs = [following.severity]
    passes = following.severity is Severity.CRITICAL and before.state is not State.FIRING
    if passes and anticipates(rule) and rule.warning is not None:
        rungs = [Severity.WARNING, Severity.CRITICAL]
    # A rule that waits for nothing still passes through pending.
    waits = [(State.PENDING, rungs[0])] if before.state is State.OK and isinstance(rule, Compared) else []
    return [*waits, *((State.FIRING, rung) for rung in rungs)]


def _revision(before: AlertState, moment: Moment) -> int:
    """After those that were said early of the same grid point."""
    early = said(before)
    return early[-1].revision + 1 if early and early[-1].at_ms == moment.at_ms else 0


def withdrawn(before: AlertState, rule: Rule, moment: Moment, why: str) -> AlertState:
    """The alert when its rule is disabled or removed."""
    before, revision = as_said(before), _revision(before, moment)
    if before.state is State.OK:
        return before.model_copy(update={"unsent": []})
    finding = Finding(rule, Reading(Outcome.UNDEFINED), None, moment)
    change = (before.state, State.OK, before.severity)
    ended = transition(before, change, finding, episode_ms=before.episode_ms, revision=revision, why=why)
    update = {"state": State.OK, "severity": Severity.NONE, "episode_ms": 0, "good_windows": 0, "unsent": [ended]}
    forgotten_too = {"flapping": False, "sides": 0, "evaluated_ms": max(moment.at_ms, before.evaluated_ms)}
    return before.model_copy(update={**update, **forgotten_too})
