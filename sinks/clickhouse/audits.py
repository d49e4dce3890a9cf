"""The audits of a running sink: a round at a time, in a thread, with figures, and a word where something differs."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from connect.clickhouse import Store
from connect.telemetry import Figures
from engine.audit import Hour
from schemas.errors import StoreRefused, StoreUnavailable
from sinks.clickhouse.auditing import Auditing, Round, remedy, sentences
from sinks.clickhouse.config import SinkConfig
from sinks.clickhouse.metrics import Metrics
from sinks.clickhouse.writer import in_thread

_LOG = logging.getLogger(__name__)

TIMEOUT_S = 330.0
"""Longer than ClickHouse lets an audit take."""


class Audits:
    """Runs rounds, and knows what the last one said.

    Args:
        epochs: The present incarnation of each topic.
    """

    def __init__(self, config: SinkConfig, epochs: Mapping[str, str], metrics: Metrics) -> None:
        self._store = Store(replace(config.clickhouse, timeout_s=TIMEOUT_S))
        self._every_s = config.audit_every_s
        self._metrics = metrics
        self._last: Round | None = None
        self._auditing = Auditing(
            self._store,
            size_ms=config.audit_period_s * 1000,
            grace_ms=int(config.audit_grace_s * 1000),
            epochs=epochs,
            retention=config.retention,
        )

    async def run(self, ours: Callable[[], bool]) -> None:
        """Looks again and again, until cancelled, while it is ours to do so: one sink of several audits."""
        while self._every_s:
            await asyncio.sleep(self._every_s)
            if ours():
                await self.look()

    async def look(self) -> None:
        """Audits what is due. A round that fails is made up for by the next one; storing goes on all the same."""
        began_s = time.monotonic()
        try:
            done = await in_thread(self._auditing.round)
        except (StoreUnavailable, StoreRefused) as error:
            self._metrics.audit_failures.inc()
            _LOG.warning("An audit was given up, and will be made again: %s", error)
            return
        self._metrics.audit_seconds.observe(time.monotonic() - began_s)
        self._tell(done)

    def _tell(self, done: Round) -> None:
        self._last = done
        metrics = self._metrics
        metrics.audit_mismatch.inc(done.fresh)
        metrics.audit_waiting.set(len(done.waiting))
        if done.newest_ms is not None:
            metrics.audited_until.set(done.newest_ms)
        for audit in done.audits:
            metrics.audits.labels(audit.result.value).inc()
            for sentence in sentences(audit):
                _LOG.error("Rollups differ from raw rows: %s. Where: `%s`", sentence, self._remedy(audit.hour))

    def _remedy(self, hour: Hour) -> str:
        return remedy(hour, self._auditing.calendar.size_ms)

    def figures(self) -> Figures:
        """For `/status`."""
        last = self._last
        return {
            "audited_until_ms": last.newest_ms if last else None,
            "audit_mismatches": last.mismatches if last else 0,
            "audit_waiting": len(last.waiting) if last else 0,
        }

    def close(self) -> None:
        """Closes the connections. Safe twice."""
        self._store.close()
