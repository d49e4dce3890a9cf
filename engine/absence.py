"""Why nothing comes of a metric any more: what else its source has sent lately."""

from collections.abc import Iterable, Mapping

from engine.held import Entity, Held
from engine.rules import PROBE_MISSES, PROBED, Reading
from schemas.alerts import Outcome, SilenceReason
from schemas.rule_base import WINDOW_MS
from schemas.rules import LATELY_MS, AbsenceRule

_NAMED = 3
"""So many probes are named."""


def read_absence(
    rule: AbsenceRule, held: Held, present: Iterable[Entity], known: Iterable[Entity], at_ms: int
) -> dict[Entity, Reading]:
    """Of each entity whether it sends, and of those that are known and do not, why.

    Args:
        present: Entities that sent in the window that ends at `at_ms`.
    """
    found = {entity: Reading(Outcome.VALUE) for entity in present}
    silent = [entity for entity in known if entity not in found]
    # Not longer than the silence that fires: what they sent themselves does not count.
    since_ms = at_ms - max(WINDOW_MS, min(rule.after_ms, LATELY_MS))
    failed = _failed(rule, held, since_ms, at_ms) if silent else {}
    return found | {entity: _why(held, dict(entity), failed, since_ms) for entity in silent}


def _why(held: Held, labels: Mapping[str, str], failed: Mapping[str, set[str]], since_ms: int) -> Reading:
    source = labels.get("source")
    if not source:
        return Reading(Outcome.NO_DATA)
    if held.newest_ms(source) < since_ms:
        return Reading(Outcome.NO_DATA, told=f"nothing comes from {source} at all", reason=SilenceReason.SOURCE_SILENT)
    if source in failed:
        told = f"probes of {source} fail: {', '.join(sorted(failed[source])[:_NAMED])}"
        return Reading(Outcome.NO_DATA, told=told, reason=SilenceReason.PROBE_FAILED)
    return Reading(Outcome.NO_DATA, told=f"{source} sends other metrics", reason=SilenceReason.SERIES_ENDED)


def _failed(rule: AbsenceRule, held: Held, since_ms: int, at_ms: int) -> dict[str, set[str]]:
    """By source the probes that failed since, with how they did: where it is probes that measure the metric."""
    found: dict[str, set[str]] = {}
    if rule.metric.startswith(PROBED):
        for series in held.series(PROBE_MISSES):
            if series.over(since_ms, at_ms) is not None:
                told = f"{series.labels.get('probe', '?')} ({series.labels.get('reason', '?')})"
                found.setdefault(series.labels["source"], set()).add(told)
    return found
