"""How long a month of the past takes, for one rule: with what cannot change anything passed over, and without."""

import asyncio
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from rich.progress import Progress

from analysis.backtest import Past, decided, past, stepping
from benchmarks.figures import Figure, Section
from benchmarks.options import Options
from benchmarks.sink import clickhouse
from connect.clickhouse import Store
from schemas.alerts import State, Transition
from schemas.rules import Rule, ThresholdRule
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.past_rollups import MINUTES

SERIES = 500
ROUNDS = 3
DAY_MS = 86_400_000
METRIC = "load"
RULE = ThresholdRule(id="load-high", metric=METRIC, warning=75, critical=95, over_ms=300_000, for_ms=120_000)

HOW = """{days:g} days of {series} series in minutes, {rows:,} rows in an embedded ClickHouse, through one rule (`avg`
over 5 minutes, `for` 2 minutes). Each series has a daily course with noise; each day one series of five is beyond a
threshold for 3 to 32 minutes. What `watchkeeper rules backtest` does from the first query to the last transition;
median of {rounds} rounds. Evaluating every grid point takes the time of one day, which is played so too, and whose
transitions must be the same, times the days."""

# A few columns matter; the others are what they are in any row.
_FILL = """
INSERT INTO watchkeeper_store.rollups_1m
(
    rollup, metric, source, series, window_start, ver, kind, dimensions, n, sum, min, max, first, first_at, last,
    last_at, increase, zero, positive, negative, h_sum, h_xor
)
WITH
    intDiv(number, 1440) AS host, number % 1440 AS minute, {day_ms:Int64} + minute * 60000 AS at_ms,
    cityHash64(1, host, {day_ms:Int64}) % 5 = 0 AS is_bad, cityHash64(2, host, {day_ms:Int64}) % 1400 AS begins,
    3 + cityHash64(3, host, {day_ms:Int64}) % 30 AS lasts,
    40 + 20 * sin(minute / 1440 * 2 * pi()) + (cityHash64(host, at_ms) % 1000) / 100
        + if(is_bad AND minute >= begins AND minute < begins + lasts, 60, 0) AS value
SELECT
    '1m.v1', {metric:String}, concat('host-', toString(host)), cityHash64(host), fromUnixTimestamp64Milli(at_ms, 'UTC'),
    1, 'gauge', map(), 6, 6 * value, value - 1, value + 1, value, fromUnixTimestamp64Milli(at_ms, 'UTC'), value,
    fromUnixTimestamp64Milli(at_ms + 50000, 'UTC'), 0, 0, map(), map(), 1, 1
FROM numbers({series:Int64} * 1440)
"""
_COARSER = """
INSERT INTO watchkeeper_store.rollups_{tier}
SELECT
    '{tier}.v1', metric, source, series, {start}(window_start), 1, 'gauge', any(dimensions), sum(n), sum(r.sum),
    min(r.min), max(r.max), any(first), min(first_at), any(last), max(last_at), 0, 0, map(), map(), 1, 1
FROM watchkeeper_store.rollups_1m AS r GROUP BY metric, source, series, {start}(window_start)
"""


def run(options: Options, progress: Progress) -> Section:
    """Measures the whole past."""
    return asyncio.run(_run(options, progress))


async def _run(options: Options, progress: Progress) -> Section:
    async with clickhouse() as config:
        store = Store(config)
        return await asyncio.to_thread(_measured, store, max(1, round(options.days_past)), progress)


def _measured(store: Store, days: int, progress: Progress) -> Section:
    task = progress.add_task("backtest: the past", total=days + ROUNDS + 1)
    to_ms = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS
    from_ms = to_ms - days * DAY_MS
    migrate(store)
    for day_ms in range(from_ms, to_ms, DAY_MS):
        store.command(_FILL, parameters={"day_ms": day_ms, "metric": METRIC, "series": SERIES})
        progress.update(task, advance=1)
    for tier, start in (("1h", "toStartOfHour"), ("1d", "toStartOfDay")):
        store.command(_COARSER.format(tier=tier, start=start))
    rounds = []
    for number in range(ROUNDS):
        progress.update(task, advance=1, description=f"backtest: round {number + 1} of {ROUNDS}")
        rounds.append(_timed(store, from_ms, to_ms, lambda rule, about: decided([rule], about, _unheard)))
    last = to_ms - DAY_MS
    stepped = _timed(store, last, to_ms, lambda rule, about: list(stepping([rule], about, _unheard)))
    skipped = _timed(store, last, to_ms, lambda rule, about: decided([rule], about, _unheard))
    assert stepped.transitions == skipped.transitions, "what was passed over has changed something"
    seconds, cpu = median(one.seconds for one in rounds), median(one.cpu_s for one in rounds)
    fired = sum(one.to_state is State.FIRING for one in rounds[0].transitions)
    figures = [
        Figure(name="a month of the past, one rule", value=seconds, unit="s", target=10, strict=True),
        Figure(name="of these our own processor time", value=cpu, unit="s"),
        Figure(name="alerts that fired in it", value=fired, unit="alerts"),
        Figure(name="every grid point, as one day would make it", value=stepped.seconds * days, unit="s"),
    ]
    how = HOW.format(days=days, series=SERIES, rows=days * SERIES * 1440, rounds=ROUNDS)
    return Section(title="Backtest", how=how, figures=figures)


class _Played(NamedTuple):
    seconds: float
    cpu_s: float
    transitions: list[Transition]


def _timed(store: Store, from_ms: int, to_ms: int, play: Callable[[Rule, Past], list[Transition]]) -> _Played:
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    found = play(RULE, past(store, [RULE], MINUTES, from_ms, to_ms))
    return _Played(time.perf_counter() - began_s, time.process_time() - began_cpu_s, found)


def _unheard(_done: float) -> None:
    """Nobody watches."""
