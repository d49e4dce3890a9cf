"""How processor time, throughput and memory grow with partitions, workers, series and time."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import linear_regression, median
from typing import Any

from rich.progress import Progress

from benchmarks import exact, stream
from benchmarks.figures import Figure, Section, Table
from benchmarks.options import Options
from benchmarks.run import MILLION, ROUND_S, Ends, fill, together
from benchmarks.services import apache_kafka, make_topics, told_by
from connect.config import KafkaConfig
from schemas.errors import WatchkeeperError
from schemas.topics import SAMPLES

MAX_ROUNDS = 3
SPREADS = ((1, 1), (2, 1), (2, 2), (4, 1), (4, 2))
"""Partitions of the input, and workers that share them."""

SERIES = (100, 1_000, 10_000, 100_000)
HELD_S = 60
"""Two segments: as much as a fold holds rows of at a time."""

HELD_EVERY_MS = 5_000
DAY_S = 86_400
WEEK_SERIES = 40
WEEK_EVERY_MS = 10_000
HOUR_S = 3_600
KB, MB = 1_000, 1_000_000

HOW = """The worker reads a log on one node of Apache Kafka, as under "Beside others", with the same check that what it
published is exact; figures are medians of {rounds} rounds. Partitions: {total:,} samples in records of 100, by 1, 2
and 4 partitions, and by one worker or two, which begin to fold when both have their half; what is told is the time from
the first assignment until everything is durable, and the processor time of all workers. The broker and the workers
share the machine's cores. Series: {series_total:,} samples of so many series, which hosts of {metrics} send each second
in one record. Memory by series: what a fold with its host (`agents/host.py`) has more after {held_s} s of a log in
which every series has a sample each {held_every:g} s than before its first record, in a process of its own
(`benchmarks/held.py`). The week: {days:g} simulated days of {week} series with a sample each {week_every:g} s, through
the pure fold and through the fold with its host, with their checkpoints; the resident memory of the process is read
each simulated hour. Its growth is the slope of a straight line through the readings of all but the first seventh of
that time, and by how much the most that was read in the last seventh is above the most in the second; less than one
percent is taken as none."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log that stands on a broker, and what it is worth."""

    kafka: KafkaConfig
    ends: Ends
    wanted: exact.Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a number of workers needed for a log, in the median.

    Attributes:
        used_s: Processor seconds for a million samples.
        per_s: Samples in a second.
        held_bytes: Resident memory of the largest worker at its end.
    """

    used_s: float
    per_s: float
    held_bytes: float


def run(options: Options, progress: Progress) -> Section:
    """Measures all of it; without Apache Kafka only what needs none.

    Raises:
        Mismatch: What the worker published was not exact.
        ProgramFailed: A program ended without its figures.
    """
    return asyncio.run(_run(options, progress))


async def _run(options: Options, progress: Progress) -> Section:
    figures: list[Figure] = []
    tables: list[Table] = []
    how = _how(options)
    try:
        for part in (_spreads, _series):
            found, table = await part(options, progress)
            figures += found
            tables.append(table)
    except WatchkeeperError as error:
        how += f" Not measured here by partitions, workers and series: {error}"
    for part in (_memory, _week):
        found, table = await part(options, progress)
        figures += found
        tables.append(table)
    return Section(title="Growth", how=how, figures=figures, tables=tables)


def _how(options: Options) -> str:
    return HOW.format(
        rounds=min(MAX_ROUNDS, options.rounds),
        total=options.samples,
        series_total=options.samples // 2,
        metrics=stream.METRICS,
        held_s=HELD_S,
        held_every=HELD_EVERY_MS / 1000,
        days=options.days,
        week=WEEK_SERIES,
        week_every=WEEK_EVERY_MS / 1000,
    )


@asynccontextmanager
async def _log(load: stream.Load, progress: Progress, what: str) -> AsyncIterator[Log]:
    async with apache_kafka() as kafka:
        await make_topics(kafka, partitions={SAMPLES.name: load.partitions})
        ends = await fill(kafka, load, progress, what=what)
        yield Log(kafka, ends, await asyncio.to_thread(exact.expected, load))


async def _cost(log: Log, load: stream.Load, rounds: int, *, workers: int) -> Cost:
    told = [
        await together(log.kafka, f"benchmark-{workers}-{number}", log.ends, log.wanted, workers=workers)
        for number in range(rounds)
    ]
    return Cost(
        used_s=median(sum(one["cpu_s"] for one in each) for each in told) * MILLION / load.total,
        per_s=load.total / median(_wall_s(each) for each in told),
        held_bytes=median(max(one["rss_bytes"] for one in each) for each in told),
    )


def _wall_s(told: Sequence[Mapping[str, Any]]) -> float:
    """From when the first of the workers began until the last was done."""
    return float(max(one["ended_s"] for one in told) - min(one["began_s"] for one in told))


async def _spreads(options: Options, progress: Progress) -> tuple[list[Figure], Table]:
    figures, rows = [], []
    rounds = min(MAX_ROUNDS, options.rounds)
    for partitions in dict.fromkeys(partitions for partitions, _ in SPREADS):
        load = stream.Load(total=options.samples, samples_per_record=100, partitions=partitions)
        async with _log(load, progress, f"growth, {partitions} partitions") as log:
            for workers in (workers for count, workers in SPREADS if count == partitions):
                cost = await _cost(log, load, rounds, workers=workers)
                name = f"growth, partitions: {partitions}, workers: {workers}"
                figures += [
                    Figure(name=name, value=cost.used_s, unit="CPU s per million samples"),
                    Figure(name=f"{name}: throughput", value=cost.per_s, unit="samples/s"),
                ]
                rows.append([str(partitions), str(workers), f"{cost.used_s:.3f}", f"{cost.per_s:,.0f}"])
    headings = ("partitions", "workers", "CPU s per million samples", "samples/s")
    return figures, Table(title="By partitions and workers", headings=headings, rows=rows)


async def _series(options: Options, progress: Progress) -> tuple[list[Figure], Table]:
    figures, rows = [], []
    rounds = min(MAX_ROUNDS, options.rounds)
    for series in SERIES:
        hosts, total = series // stream.METRICS, options.samples // 2
        load = stream.Load(total=total, samples_per_record=stream.METRICS, hosts=hosts)
        async with _log(load, progress, f"growth, {series:,} series") as log:
            cost = await _cost(log, load, rounds, workers=1)
        name = f"growth, {series:,} series"
        figures.append(Figure(name=name, value=cost.used_s, unit="CPU s per million samples"))
        cells = [f"{series:,}", f"{len(log.wanted):,}", f"{cost.used_s:.3f}", f"{cost.per_s:,.0f}"]
        rows.append([*cells, f"{cost.held_bytes / MB:.0f}"])
    headings = ("series", "windows of series", "CPU s per million samples", "samples/s", "the worker's memory, MB")
    return figures, Table(title="By series", headings=headings, rows=rows)


async def _memory(options: Options, progress: Progress) -> tuple[list[Figure], Table]:
    sizes = [series for series in SERIES if series <= options.samples // 10]
    task = progress.add_task("growth, memory by series", total=len(sizes))
    rows, each_kb = [], 0.0
    for series in sizes:
        hosts = series // stream.METRICS
        asked = {"what": "host", "hosts": hosts, "seconds": HELD_S, "every_ms": HELD_EVERY_MS, "read_every_s": HELD_S}
        told = await told_by("benchmarks.held", json.dumps(asked), within_s=ROUND_S)
        more_bytes = told["bytes"] - told["before_bytes"]
        each_kb = more_bytes / series / KB
        rows.append([f"{series:,}", f"{more_bytes / MB:.1f}", f"{each_kb:.2f}"])
        progress.update(task, advance=1)
    figures = [Figure(name=f"growth, memory per series, of {sizes[-1]:,}", value=each_kb, unit="KB")]
    headings = ("series", "MB more", "KB per series")
    return figures, Table(title="Memory by series", headings=headings, rows=rows)


async def _week(options: Options, progress: Progress) -> tuple[list[Figure], Table]:
    figures, rows = [], []
    kinds = {"fold": "the pure fold", "host": "the fold with its host"}
    task = progress.add_task("growth, the week", total=len(kinds))
    seconds = round(options.days * DAY_S)
    asked = {"hosts": WEEK_SERIES // stream.METRICS, "seconds": seconds, "every_ms": WEEK_EVERY_MS}
    for what, words in kinds.items():
        one = asked | {"what": what, "read_every_s": min(HOUR_S, seconds // 21)}
        told = await told_by("benchmarks.held", json.dumps(one), within_s=ROUND_S)
        at_s, in_use = zip(*told["readings"], strict=True)
        seventh = len(at_s) // 7
        slope = linear_regression(at_s[seventh:], in_use[seventh:]).slope * DAY_S / KB
        second, last = max(in_use[seventh : 2 * seventh]), max(in_use[-seventh:])
        name = f"growth, the week, {words}"
        figures += [
            Figure(name=f"{name}: slope", value=slope, unit="KB per day"),
            Figure(
                name=f"{name}: last day's most over the second's",
                value=(last / second - 1) * 100,
                unit="% more",
                target=1,
                strict=True,
            ),
        ]
        rows.append([words, f"{told['points']:,}", f"{second / MB:.2f}", f"{last / MB:.2f}", f"{slope:.1f}"])
        progress.update(task, advance=1)
    headings = ("", "samples", "most on the second day, MB", "most on the last day, MB", "slope, KB per day")
    return figures, Table(title="A simulated week", headings=headings, rows=rows)
