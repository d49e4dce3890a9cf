"""Whether explanations name the fault, and how soon: seeded faults in one of a thousand combinations of dimensions."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from benchmarks.figures import Figure, Section, p95
from benchmarks.options import Options
from benchmarks.sink import clickhouse
from connect.clickhouse import Store
from engine.alerts import alert_id
from schemas.alerts import Outcome, Severity, State, Transition
from schemas.rollups import ROLLUP_10S
from schemas.rule_base import WINDOW_MS
from schemas.rules import RatioRule
from schemas.samples import Kind
from schemas.series import series_of
from sinks.clickhouse.blame import BEFORE_MS, blamed
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rollups import COLUMNS
from sinks.clickhouse.tiers import MINUTES, recompute

SEED = 20261126
NAMES = ("route", "region", "release")
VALUES = 10
REQUESTS = 20_000
"""In each window."""

USUAL = 0.01
RULE = RatioRule(
    id="requests-failing", metric="http.server.requests", bad={"outcome": "error"}, over_ms=60_000, critical=0.05
)
OUTCOMES = ("error", "ok")

HOW = """`sinks/clickhouse/blame.py:blamed` is asked which dimensions are to blame for an alert of a rule on the
part of failed requests, {faults} times. There are {names} with {values} values each, so 1,000 combinations, with uneven
traffic, {requests} requests in each window, an hour before the fault and a minute of it: {rows:,} rows in an embedded
ClickHouse. 1 % of requests fail; in one combination of one to three dimensions, chosen at random among those in which
failures grow by a tenth or more altogether, 3 to 50 % do. What is ranked first must be that combination, neither wider
nor narrower. The duration is that of the whole answer, the query included."""

_Floats = NDArray[np.float64]


class _Fault(NamedTuple):
    dimensions: dict[str, str]
    ratios: _Floats


def run(options: Options, progress: Progress) -> Section:
    """Measures all faults."""
    return asyncio.run(_run(options, progress))


async def _run(options: Options, progress: Progress) -> Section:
    async with clickhouse() as config:
        store = Store(config)
        return await asyncio.to_thread(_measured, store, options.faults, progress)


def _measured(store: Store, count: int, progress: Progress) -> Section:
    task = progress.add_task("explain: the hour before", total=count)
    migrate(store)
    random = np.random.default_rng(SEED)
    made = _Made(store, random)
    made.before()
    first, seconds = 0, []
    for number in range(count):
        fault = made.fault(number + 2)
        began_s = time.perf_counter()
        told = blamed(store, RULE, made.transition())
        seconds.append(time.perf_counter() - began_s)
        first += bool(told) and told[0].dimensions == fault.dimensions
        progress.update(task, advance=1, description=f"explain: fault {number + 1} of {count}")
    how = HOW.format(faults=count, names=", ".join(NAMES), values=VALUES, requests=REQUESTS, rows=made.rows)
    figures = [
        Figure(name="faults that are ranked first", value=100 * first / count, unit="%", target=90, at_least=True),
        Figure(name="explanation, p95", value=p95(seconds), unit="s", target=1.0, strict=True),
    ]
    return Section(title="Explanations", how=how, figures=figures)


class _Made:
    """Rows of all combinations. Those of the fault's minute replace those of the fault before."""

    def __init__(self, store: Store, random: np.random.Generator) -> None:
        self._store = store
        self._random = random
        self.rows = 0
        self.at_ms = (time.time_ns() // 1_000_000 - 600_000) // 60_000 * 60_000
        self._labels = [
            dict(zip(NAMES, map(str, one), strict=True)) for one in product(range(VALUES), repeat=len(NAMES))
        ]
        weights = np.array([1 / np.prod([1 + int(value) for value in one.values()]) for one in self._labels])
        self._weights = weights / weights.sum()
        self._series = [
            series_of(RULE.metric, "web-1", {**one, "outcome": outcome}, Kind.DELTA)
            for one in self._labels
            for outcome in OUTCOMES
        ]

    def before(self) -> None:
        """An hour without a fault."""
        usual = np.full(len(self._labels), USUAL)
        for start_ms in range(self.at_ms - RULE.over_ms - BEFORE_MS, self.at_ms - RULE.over_ms, WINDOW_MS):
            self._put([start_ms], usual, ver=1)
        recompute(self._store, MINUTES, self.at_ms - RULE.over_ms - BEFORE_MS, self.at_ms)

    def fault(self, ver: int) -> _Fault:
        """A minute with one."""
        fault = self._chosen()
        rows = self.rows
        self._put(range(self.at_ms - RULE.over_ms, self.at_ms, WINDOW_MS), fault.ratios, ver=ver)
        self.rows = rows if ver > 2 else self.rows
        return fault

    def _chosen(self) -> _Fault:
        while True:
            size = int(self._random.integers(1, len(NAMES) + 1))
            names = sorted(self._random.choice(NAMES, size, replace=False).tolist())
            dimensions = {name: str(self._random.integers(VALUES)) for name in names}
            inside = np.array([dimensions.items() <= one.items() for one in self._labels])
            ratio = float(self._random.uniform(0.03, 0.5))
            if self._weights[inside].sum() * (ratio - USUAL) > 0.1 * USUAL:
                return _Fault(dimensions, np.where(inside, ratio, USUAL))

    def _put(self, starts_ms: Sequence[int], ratios: _Floats, *, ver: int) -> None:
        rows = [row for start_ms in starts_ms for row in self._window(start_ms, ratios, ver)]
        self._store.insert("watchkeeper_store.rollups", dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)))
        self.rows += len(rows)

    def _window(self, start_ms: int, ratios: _Floats, ver: int) -> Iterator[tuple[Any, ...]]:
        requests = self._random.poisson(REQUESTS * self._weights)
        failed = self._random.binomial(requests, ratios)
        counts = np.stack([failed, requests - failed], axis=1).ravel().tolist()
        for series, count in zip(self._series, counts, strict=True):
            value, times = float(count), (start_ms, start_ms + 9_000)
            place = (RULE.metric, "metrics.samples", "e", 0, 0, "web-1", int(series.hex, 16), start_ms, ver, "delta")
            numbers: tuple[Any, ...] = (1, value, value, value, value, times[0], value, times[1], 0.0, 0, {}, {}, 1, 1)
            yield (ROLLUP_10S, *place, series.labels, *numbers)

    def transition(self) -> Transition:
        """That which raises the alert."""
        return Transition(
            id=f"{1:032x}", alert=alert_id(RULE.id, {}), rule=RULE.id, rule_version=1, entity={}, metric=RULE.metric,
            episode_ms=self.at_ms, at_ms=self.at_ms, from_state=State.PENDING, to_state=State.FIRING,
            severity=Severity.CRITICAL, outcome=Outcome.VALUE,
        )  # fmt: skip
