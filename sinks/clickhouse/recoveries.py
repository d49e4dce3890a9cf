"""How bad episodes of alerts were: measured from rollups once they have ended, and put down as a row each.

Measuring is a function of what is stored: it may be done again, at any time, and by another sink. So nothing of it must
survive a crash, and what was not measured while ClickHouse was away is measured afterwards.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from connect.clickhouse import Store
from connect.config import ClickHouseConfig
from engine.held import Entity, Held
from engine.readings import Readings
from engine.recovery import Measured, Recovery, is_measured, recovery
from engine.rules import metrics_of
from schemas.control import RuleControl
from schemas.dimensions import canonical
from schemas.errors import StoreRefused, StoreUnavailable
from schemas.rules import OutlierRule, Rule
from sinks.clickhouse.metrics import Metrics
from sinks.clickhouse.past_rollups import WINDOWS, PastRollups
from sinks.clickhouse.writer import in_thread

_LOG = logging.getLogger(__name__)

EVERY_S = 15.0
SETTLES_MS = 30_000
"""So long after its end an episode is left alone: its last rows may be on their way."""

MOST = 50
"""Episodes of one round."""

LONGEST_MS = 35 * 86_400_000
"""Longer ones are measured over their first days, so that a round ends."""

TIMEOUT_S = 60.0

_ENDED = """
SELECT
    t.alert, toUnixTimestamp64Milli(t.episode) AS episode_ms, any(t.rule) AS rule, max(t.rule_version) AS version,
    any(CAST(t.entity, 'Map(String, String)')) AS entity, toUnixTimestamp64Milli(max(t.at)) AS ended_ms
FROM watchkeeper_store.transitions AS t FINAL
WHERE t.at >= now64(3) - toIntervalDay(36)
GROUP BY t.alert, t.episode
HAVING countIf(t.to_state = 'firing') > 0 AND argMax(t.to_state, (t.at, t.revision)) = 'ok'
    AND ended_ms < toUnixTimestamp64Milli(now64(3)) - {settles_ms:Int64}
    AND (t.alert, t.episode) NOT IN (SELECT alert, episode FROM watchkeeper_store.recoveries)
ORDER BY ended_ms DESC
LIMIT {most:UInt32}
"""
_RULE = """
SELECT record FROM watchkeeper_store.control FINAL
WHERE id = concat('rule/', {rule:String}) AND version = {version:UInt64} AND kind != '' LIMIT 1
"""
_CONTROL: TypeAdapter[RuleControl] = TypeAdapter(RuleControl)


class Ended(NamedTuple):
    """An episode that fired, and has ended."""

    alert: str
    episode_ms: int
    rule: str
    version: int
    entity: dict[str, str]
    ended_ms: int


class Recoveries:
    """Measures what has ended, a round at a time."""

    def __init__(self, config: ClickHouseConfig, metrics: Metrics) -> None:
        self._store = Store(replace(config, timeout_s=TIMEOUT_S))
        self._metrics = metrics

    async def run(self, ours: Callable[[], bool]) -> None:
        """Looks again and again, until cancelled, while it is ours to do so: one sink of several measures."""
        while True:
            await asyncio.sleep(EVERY_S)
            if ours():
                await self.look()

    async def look(self) -> None:
        """One round. One that fails is made up for by the next one; storing goes on all the same."""
        try:
            await in_thread(self._round)
        except (StoreUnavailable, StoreRefused) as error:
            self._metrics.recovery_failures.inc()
            _LOG.warning("How bad episodes were was not measured, and will be again: %s", error)

    def _round(self) -> None:
        found = [(one, measured(self._store, one)) for one in ended(self._store)]
        if found:
            put_down(self._store, found)
            self._metrics.recoveries.inc(len(found))

    def close(self) -> None:
        """Closes the connections. Safe twice."""
        self._store.close()


def ended(store: Store) -> list[Ended]:
    """Episodes that are to be measured, the newest first.

    Raises:
        StoreUnavailable: The same call may succeed later.
        StoreRefused: It will not.
    """
    return [Ended(*row) for row in store.rows(_ENDED, {"settles_ms": SETTLES_MS, "most": MOST})]


def measured(store: Store, one: Ended) -> Recovery | None:
    """How bad an episode was; None where its kind has no such values, or its rule is not known. Raises as `ended`."""
    rule = _rule(store, one)
    if rule is None or not is_measured(rule):
        return None
    return recovery(rule, _values(store, rule, one), WINDOWS.window_ms)


def _rule(store: Store, one: Ended) -> Rule | None:
    found = store.rows(_RULE, {"rule": one.rule, "version": one.version})
    return _CONTROL.validate_json(found[0][0]).rule if found else None


def _values(store: Store, rule: Measured, one: Ended) -> Iterator[float | None]:
    """What the rule read at each grid point from the beginning of an episode to its end."""
    window_ms, entity = WINDOWS.window_ms, canonical(one.entity)
    held = Held(window_ms)
    readings = Readings(held, window_ms)
    span_ms, at_ms = readings.span_ms(rule), one.episode_ms
    end_ms = min(one.ended_ms, one.episode_ms + LONGEST_MS)
    about = {} if isinstance(rule, OutlierRule) else one.entity
    past = PastRollups(store, at_ms - span_ms, end_ms)
    for start_ms, messages in past.rows(WINDOWS, metrics_of(rule), at_ms - span_ms, end_ms, about):
        for known_ms in range(at_ms, start_ms + 1, window_ms):
            yield _value(readings, rule, known_ms, entity)
            at_ms = known_ms + window_ms
        held.forget(start_ms - span_ms)
        for rows in messages:
            held.add(rows, 0)
    for known_ms in range(at_ms, end_ms + 1, window_ms):
        yield _value(readings, rule, known_ms, entity)


def _value(readings: Readings, rule: Measured, at_ms: int, entity: Entity) -> float | None:
    found = readings.of(rule, at_ms, [entity]).get(entity)
    return found.value if found is not None else None


def put_down(store: Store, found: Sequence[tuple[Ended, Recovery | None]]) -> None:
    """Stores what was measured; of what cannot be that it was looked at. Safe to repeat. Raises as `ended`."""
    measures = ("threshold", "peak", "area", "beyond_s")
    columns: dict[str, list[Any]] = {name: [getattr(one, name, None) for _, one in found] for name in measures}
    columns |= {"alert": [one.alert for one, _ in found], "episode": [one.episode_ms for one, _ in found]}
    store.insert("watchkeeper_store.recoveries", columns)
