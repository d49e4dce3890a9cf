"""Alerts of which only the state is known, as a notifier finds them where the topic of transitions begins anew."""

from hashlib import blake2b

from engine.part_ids import is_part
from schemas.alerts import AlertState, Outcome, State, Transition


def standing_transition(state: AlertState) -> Transition:
    """How an alert stands, where only its state is known and not what led to it."""
    identity = f"{state.alert}|{state.episode_ms}|{state.severity}|standing".encode()
    return Transition(
        id=blake2b(identity, digest_size=16).hexdigest(),
        alert=state.alert,
        rule=state.rule,
        rule_version=state.rule_version,
        entity=state.entity,
        metric="unknown",
        episode_ms=state.episode_ms,
        at_ms=state.since_ms,
        from_state=State.PENDING,
        to_state=State.FIRING,
        severity=state.severity,
        outcome=Outcome.UNDEFINED,
        summary=f"{state.rule} stands since before the notifier started",
    )


def is_raised(state: AlertState) -> bool:
    """Whether an alert stands, also one whose data have stopped since."""
    return (state.resume if state.state is State.STALE else state.state) in {State.FIRING, State.RECOVERING}


def stands(state: AlertState) -> bool:
    """Whether it is raised, and an alert of which people hear."""
    return is_raised(state) and not is_part(state.rule)
