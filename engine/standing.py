"""Alerts of which only the state is known, as a notifier finds them where the topic of transitions begins anew."""

from hashlib import blake2b

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


def stands(state: AlertState) -> bool:
    """Whether an alert is raised."""
    return (state.resume if state.state is State.STALE else state.state) in {State.FIRING, State.RECOVERING}
