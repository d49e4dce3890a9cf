"""Alerts that go to and fro: how often they changed between good and bad in the last windows.

The idea is Nagios': the part of recent checks at which a service changed its state, with one limit to begin and a
lower one to end. Here all changes count alike, and a window that says neither good nor bad repeats the one before.
"""

from engine.rules import Judgement
from engine.transitions import Moment
from schemas.alerts import AlertState, Severity
from schemas.rules import Rule


def sides_after(before: AlertState, judged: Judgement | None, rule: Rule, moment: Moment) -> int:
    """On which side the recent windows were, one bit each: 1 is bad, and the newest is the lowest bit.

    One more is kept than the rule counts in: the one that the oldest of them changed from.
    """
    newest = before.sides & 1
    passed = (moment.at_ms - before.evaluated_ms) // moment.window_ms
    passed = min(max(passed, 1), rule.flap_windows + 1)
    sides = (before.sides << passed) | (newest * ((1 << passed) - 1))
    if judged is not None and (judged.good or judged.severity is not Severity.NONE):
        sides = sides >> 1 << 1 | int(not judged.good)
    return sides & ((1 << (rule.flap_windows + 1)) - 1)


def flaps(before: AlertState, sides: int, rule: Rule) -> bool:
    """Whether an alert that is raised flaps: it began to, or has not settled yet."""
    counted = ((sides ^ (sides >> 1)) & ((1 << rule.flap_windows) - 1)).bit_count()
    if not rule.flap_start:
        return False
    return counted >= rule.flap_start or (before.flapping and counted > rule.flap_start // 2)
