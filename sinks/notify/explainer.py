"""Why alerts were raised, in the notices of them: what can be told in time, and no page waits for more."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from connect.clickhouse import Store
from connect.config import ClickHouseConfig
from engine.wording import condition
from schemas.alerts import State, Transition
from schemas.errors import StoreRefused, StoreUnavailable
from schemas.matchers import EXTERNAL
from schemas.notifications import Explained, Planned
from sinks.clickhouse.explanations import Explanation, explain
from sinks.notify.metrics import Metrics

_LOG = logging.getLogger(__name__)

EXPLAINED = 3
"""So many alerts of a notice are explained."""

PAUSE_S = 30.0
"""How long nothing is asked of a ClickHouse that did not answer in time."""

_CHARS = 512


class Explainer:
    """Asks ClickHouse why alerts were raised.

    Args:
        clickhouse: None: nothing is explained.
        within_s: How long the notices of one moment may wait for it, all of them together.
        dashboard_url: Where alerts can be seen; empty: nowhere.
    """

    def __init__(
        self, clickhouse: ClickHouseConfig | None, metrics: Metrics, *, within_s: float, dashboard_url: str = ""
    ) -> None:
        self._store = None
        if clickhouse is not None and within_s > 0:
            self._store = Store(replace(clickhouse, timeout_s=max(1.0, within_s)))
        self._metrics = metrics
        self._within_s = within_s
        self._dashboard_url = dashboard_url.rstrip("/")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="explainer")
        self._paused_until_s = 0.0

    async def explained(self, planned: Sequence[Planned]) -> list[Planned]:
        """The same notices, those that tell something new of what fires with reasons: as many as time allows."""
        found = list(planned)
        wanted = [number for number, one in enumerate(found) if _raised(one)]
        if self._store is None or not wanted or asyncio.get_running_loop().time() < self._paused_until_s:
            return found
        try:
            async with asyncio.timeout(self._within_s):
                for number in wanted:
                    found[number] = await self._with_reasons(found[number], self._store)
        except (TimeoutError, StoreUnavailable, StoreRefused) as error:
            self._paused_until_s = asyncio.get_running_loop().time() + PAUSE_S
            self._metrics.unexplained.inc()
            _LOG.warning("Notices go out without reasons for %g s: %s", PAUSE_S, str(error) or "ClickHouse is slow")
        return found

    async def _with_reasons(self, planned: Planned, store: Store) -> Planned:
        loop = asyncio.get_running_loop()
        why = [
            self._told(await loop.run_in_executor(self._thread, explain, store, alert)) for alert in _raised(planned)
        ]
        return planned.model_copy(update={"notice": planned.notice.model_copy(update={"why": why})})

    def _told(self, explanation: Explanation) -> Explained:
        alert, rule = explanation.transition, explanation.rule
        return Explained(
            alert=alert.alert,
            condition=condition(rule)[:_CHARS] if rule is not None else "",
            to_do=rule.description[:_CHARS] if rule is not None else "",
            blamed=[_cut(_blamed(one.dimensions, one.share)) for one in explanation.blamed[:3]],
            changes=[
                _cut(f"{_ago(alert.episode_ms - one.at_ms)}: {one.event} of {one.service}{_labels(one.attributes)}")
                for one in explanation.changes[:3]
            ],
            before=_times(len(explanation.past)),
            query=explanation.query[:4096],
            link=f"{self._dashboard_url}/alerts/{alert.alert}" if self._dashboard_url else "",
        )

    def close(self) -> None:
        """Waits for nothing."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _raised(planned: Planned) -> list[Transition]:
    """The alerts of a notice that are explained: those that it tells first, and that fire."""
    notice = planned.notice
    if notice.status != "firing" or notice.repeat:
        return []
    told = set(planned.includes)
    fresh = [one for one in notice.alerts if one.id in told and one.to_state is State.FIRING]
    return [one for one in fresh if not one.rule.startswith(EXTERNAL)][:EXPLAINED]


def _blamed(dimensions: dict[str, str], share: float) -> str:
    return f"{share:.0%}: {', '.join(f'{name}={value}' for name, value in dimensions.items()) or 'everywhere alike'}"


def _labels(some: Mapping[str, str]) -> str:
    told = ", ".join(f"{name}={value}" for name, value in some.items())
    return f" ({told})" if told else ""


def _ago(milliseconds: int) -> str:
    minutes = milliseconds // 60_000
    return f"{minutes} min before" if minutes >= 1 else "just then"


def _times(count: int) -> str:
    if not count:
        return "not once in the 30 days before"
    return f"{'once' if count == 1 else f'{count} times'} in the 30 days before"


def _cut(text: str) -> str:
    return text[:_CHARS]
