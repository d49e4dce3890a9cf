"""How soon what was sent can be seen: windows in ClickHouse, breaches on topic `alerts` and in ClickHouse."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.progress import Progress

from benchmarks.figures import Figure, Section, Table, p95
from benchmarks.instance import Started, started
from benchmarks.options import Options
from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from connect.publisher import Publisher
from connect.reader import TopicReader
from operations import control
from schemas.alerts import State, Transition
from schemas.rule_base import WINDOW_MS
from schemas.rules import RuleFile, ThresholdRule
from schemas.topics import ALERTS, SAMPLES

METRIC, RULE = "benchmark.latency", "benchmark-latency"
GOOD, BAD, LIMIT = 1.0, 200.0, 100.0
SERIES_PER_WINDOW = 2
"""Series that begin to breach with each window."""

STEP_MS = 500
PHASE_MS = 400
"""Samples are sent at this moment of each step: the last of a window a tenth of a second before its end."""

LOOK_S = 0.1
PATIENCE_S = 30.0
WARM_WINDOWS = 2

HOW = """`watchkeeper up` runs with its default settings, a lateness of 2 s among them. {series} series of one metric
send a value each {step:g} s; {windows} windows of 10 s are watched. A window can be seen when its row in
`metrics_10s` holds every sample that was sent in it. With each window {each} more series breach a threshold rule
without `for`; their transition to firing is seen by a consumer of topic `alerts`, and in `monitoring_alerts`. All
times count from the end of the window. ClickHouse is asked each {look:g} s, which is part of the figures."""

FIRING_SQL = """SELECT JSONExtractString(details, 'entity', 'source') FROM watchkeeper.monitoring_alerts
WHERE alert_type = {rule:String} AND status = 'firing'"""
WINDOW_SQL = """SELECT source, n FROM watchkeeper.metrics_10s
WHERE metric = {metric:String} AND window_start = fromUnixTimestamp64Milli({start:Int64})"""


class NotSeen(Exception):  # noqa: N818
    """Something that was sent did not come out."""


@dataclass(slots=True)
class Plan:
    """Which series there are, when each breaches, and what was sent."""

    first_ms: int
    windows: int
    sent: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def starts_ms(self) -> list[int]:
        """Starts of the watched windows."""
        return [self.first_ms + index * WINDOW_MS for index in range(self.windows)]

    def breaching(self, start_ms: int) -> list[str]:
        """Series that begin to breach with this window."""
        index = (start_ms - self.first_ms) // WINDOW_MS
        return [f"benchmark-{index * SERIES_PER_WINDOW + number}" for number in range(SERIES_PER_WINDOW)]

    @property
    def series(self) -> dict[str, int]:
        """Series to the start of the window that it begins to breach in."""
        return {source: start_ms for start_ms in self.starts_ms for source in self.breaching(start_ms)}

    def expected(self, start_ms: int) -> dict[str, int]:
        """Series to the number of samples that were sent in a window."""
        return {source: self.sent.get((source, start_ms), 0) for source in self.series}


@dataclass(slots=True)
class Seen:
    """Seconds from the end of a window until something of it was seen."""

    rows_s: list[float] = field(default_factory=list)
    topic_s: list[float] = field(default_factory=list)
    view_s: list[float] = field(default_factory=list)


def run(options: Options, progress: Progress) -> Section:
    """Watches some windows of one instance.

    Raises:
        NotSeen: A row or an alert did not come within half a minute.
    """
    with started() as instance:
        seen, plan = asyncio.run(_run(instance, options.windows, progress))
    return _section(seen, plan)


async def _run(instance: Started, windows: int, progress: Progress) -> tuple[Seen, Plan]:
    kafka = KafkaConfig(bootstrap=instance.told.kafka, idempotent=False)
    host, _, port = instance.told.clickhouse.rpartition(":")
    store = Store(ClickHouseConfig(host=host, port=int(port)))
    rule = ThresholdRule(id=RULE, metric=METRIC, aggregate="max", critical=LIMIT, for_ms=0)
    change = control.plan({}, RuleFile(version=1, rules=[rule]))
    await control.publish(kafka, control.records({}, change, by="benchmark", at_ms=_now_ms()))
    now_ms = _now_ms()
    plan, seen = Plan(now_ms - now_ms % WINDOW_MS + (1 + WARM_WINDOWS) * WINDOW_MS, windows), Seen()
    task = progress.add_task("latency: windows", total=windows)
    sending, listening = asyncio.create_task(_send(kafka, plan)), asyncio.create_task(_listen(kafka, plan, seen))
    try:
        async with asyncio.TaskGroup() as group:
            for start_ms in plan.starts_ms:
                watching = group.create_task(_watch(store, plan, seen, start_ms))
                watching.add_done_callback(lambda _: progress.update(task, advance=1))
        async with asyncio.timeout(PATIENCE_S):
            await listening
    finally:
        for running in (sending, listening):
            running.cancel()
        await asyncio.gather(sending, listening, return_exceptions=True)
        store.close()
    return seen, plan


async def _send(kafka: KafkaConfig, plan: Plan) -> None:
    """Publishes all series, as one producer would, until cancelled."""
    publisher = Publisher(kafka, source="benchmark", clock=_now_ms)
    await publisher.start()
    try:
        while True:
            await asyncio.sleep((STEP_MS - (_now_ms() - PHASE_MS) % STEP_MS) / 1000)
            at_ms = _now_ms()
            for source, bad_from_ms in plan.series.items():
                sample = {"metric": METRIC, "value": BAD if at_ms >= bad_from_ms else GOOD}
                await publisher.publish(SAMPLES.name, source, {"samples": [sample]}, at_ms, source=source)
                key = source, at_ms - at_ms % WINDOW_MS
                plan.sent[key] = plan.sent.get(key, 0) + 1
    finally:
        await publisher.stop(1.0)


async def _listen(kafka: KafkaConfig, plan: Plan, seen: Seen) -> None:
    """Reads topic `alerts` until every series has fired."""
    waiting = plan.series
    async with TopicReader(kafka, ALERTS.name) as reader:
        while waiting:
            chunks = await reader.read(timeout_s=LOOK_S)
            now_ms = _now_ms()
            for value in (record.value for chunk in chunks for record in chunk.records):
                transition = Transition.model_validate_json(value or b"")
                if transition.rule == RULE and transition.to_state is State.FIRING:
                    source = transition.entity["source"]
                    seen.topic_s.append((now_ms - waiting.pop(source) - WINDOW_MS) / 1000)


async def _watch(store: Store, plan: Plan, seen: Seen, start_ms: int) -> None:
    """Waits for the end of a window, then asks ClickHouse until its rows and its alerts are there."""
    end_ms = start_ms + WINDOW_MS
    await asyncio.sleep((end_ms - _now_ms()) / 1000)
    wanted, breaching = plan.expected(start_ms), set(plan.breaching(start_ms))
    while wanted or breaching:
        began_ms = _now_ms()
        if began_ms > end_ms + PATIENCE_S * 1000:
            raise NotSeen(f"after {PATIENCE_S:g} s still without rows of {sorted(wanted)} or alerts of {breaching}")
        for source in await _complete(store, start_ms, wanted) if wanted else ():
            del wanted[source]
            seen.rows_s.append((_now_ms() - end_ms) / 1000)
        for source in breaching & await _firing(store) if breaching else ():
            breaching.remove(source)
            seen.view_s.append((_now_ms() - end_ms) / 1000)
        await asyncio.sleep(max(0.0, LOOK_S - (_now_ms() - began_ms) / 1000))


async def _complete(store: Store, start_ms: int, wanted: Mapping[str, int]) -> list[str]:
    """Series whose row holds every sample."""
    rows = await asyncio.to_thread(store.rows, WINDOW_SQL, {"metric": METRIC, "start": start_ms})
    return [source for source, n in rows if wanted.get(source) == n]


async def _firing(store: Store) -> set[str]:
    return {source for (source,) in await asyncio.to_thread(store.rows, FIRING_SQL, {"rule": RULE})}


def _section(seen: Seen, plan: Plan) -> Section:
    windows, breaches = f"{plan.windows} windows", f"{len(seen.topic_s)} breaches"
    return Section(
        title="Latency",
        how=HOW.format(
            series=len(plan.series), step=STEP_MS / 1000, windows=plan.windows, each=SERIES_PER_WINDOW, look=LOOK_S
        ),
        figures=[
            Figure(
                name="window's end to its row in ClickHouse, p95",
                value=p95(seen.rows_s),
                unit="s",
                target=4,
                strict=True,
            ),
            Figure(
                name="breach to the record on alerts, p95", value=p95(seen.topic_s), unit="s", target=4, strict=True
            ),
            Figure(name="breach to ClickHouse, p95", value=p95(seen.view_s), unit="s", target=5, strict=True),
        ],
        tables=[
            Table(
                title="Seconds after the end of the window",
                headings=("", "count", "least", "median", "p95", "greatest"),
                rows=[
                    _row(f"rows of {windows}", seen.rows_s),
                    _row(f"{breaches}, on `alerts`", seen.topic_s),
                    _row(f"{breaches}, in `monitoring_alerts`", seen.view_s),
                ],
            )
        ],
    )


def _row(name: str, values: Sequence[float]) -> list[str]:
    ordered = sorted(values)
    figures = (ordered[0], ordered[len(ordered) // 2], p95(ordered), ordered[-1])
    return [name, str(len(ordered)), *(f"{value:.2f}" for value in figures)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
