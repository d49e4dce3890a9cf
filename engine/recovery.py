"""How bad an episode of an alert was: its worst value, and how far beyond the threshold it was for how long."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard

from schemas.rules import ChangeRule, OutlierRule, RatioRule, Rule, ThresholdRule

Measured = ThresholdRule | RatioRule | ChangeRule | OutlierRule


@dataclass(frozen=True, slots=True)
class Recovery:
    """What an episode came to.

    Attributes:
        threshold: The one that is breached first.
        peak: The value that was farthest on its bad side; None: there was none.
        area: How far beyond the threshold, in the unit of the value, times for how many seconds.
        beyond_s: For how long it was beyond it, in windows.
    """

    threshold: float
    peak: float | None = None
    area: float = 0.0
    beyond_s: float = 0.0


def is_measured(rule: Rule) -> TypeGuard[Measured]:
    """Whether the values of its kind are what was measured, and follow from rows of the last hours alone."""
    return isinstance(rule, Measured) and not rule.remembered_ms


def recovery(rule: Measured, values: Iterable[float | None], window_ms: int) -> Recovery:
    """What the values of an episode came to.

    Args:
        values: At each grid point from where it was first beyond a threshold to its end; None: there was none.
    """
    threshold = rule.warning if rule.warning is not None else rule.critical
    assert threshold is not None
    sign = 1.0 if rule.direction == "above" else -1.0
    found = [sign * value for value in values if value is not None]
    beyond = [value - sign * threshold for value in found if value > sign * threshold]
    window_s = window_ms / 1000
    peak = sign * max(found) if found else None
    return Recovery(threshold, peak, sum(beyond) * window_s, len(beyond) * window_s)
