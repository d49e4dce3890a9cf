"""Processor time of the sink: the real one on a log that stands there, into an embedded ClickHouse."""

import asyncio
import json
import math
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from rich.progress import Progress

from benchmarks import stream
from benchmarks.exact import SUM_TOLERANCE, Mismatch
from benchmarks.figures import Figure, Section, Table
from benchmarks.options import Options
from benchmarks.services import STOP_S, broker, told_by
from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from connect.kafka import producer
from connect.outbox import Message, Outbox
from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from schemas.columns import Columns, block_of
from schemas.rollup_wire import decode_message
from schemas.rule_base import WINDOW_MS
from schemas.topics import ROLLUPS, SAMPLES
from schemas.wire import SampleDecoder, encode
from tests.ports import free_ports
from watchkeeper.embedded.clickhouse import EmbeddedClickHouse

ROUND_S = 300.0
MASK = (1 << 64) - 1
AGO_MS = 3_600_000

HOW = """The sink (`sinks/clickhouse/sink.py:sink`) runs in a process of its own between an embedded broker and an
embedded ClickHouse, with a fresh consumer group and fresh tables in each round. On `metrics.rollups` stand the rows
that the worker publishes of the input of the rollup benchmark: windows of {hosts} hosts with {metrics} metrics from
{partitions} partitions, gauges with their sketches. One window was folded; the others are the same at other times. The
sink's processor time, user and system of all threads, counts from the moment partitions are assigned to it until
ClickHouse has acknowledged every row: fetching, decoding, inserting, and whatever it commits and has computed of the
coarser tiers meanwhile. ClickHouse's own time does not count. After each round the rows are asked for by a query with
`FINAL`, and their number, counts, sums and hashes held against what was published; a difference fails the run. Raw
samples, in records of 100, are measured in the same way."""

_STORED = """
SELECT count(), sum(n), sum(sum), sum(series), sum(h_sum), groupBitXor(h_xor), sum(arraySum(mapValues(positive)))
FROM watchkeeper_store.rollups FINAL
"""
_SAMPLES = "SELECT sum(n), uniqExact(source, boot, seq, sample) FROM watchkeeper_store.samples"


@dataclass(frozen=True, slots=True)
class Totals:
    """What rollup rows add up to; whole numbers modulo 2^64."""

    rows: int
    n: int
    sum: float
    series: int
    h_sum: int
    h_xor: int
    sketched: int

    def same(self, other: "Totals") -> bool:
        """Whether they are equal, but for the order in which the sums were taken."""
        exact = [getattr(one, name) for one in (self, other) for name in self.__slots__ if name != "sum"]
        half = len(exact) // 2
        return exact[:half] == exact[half:] and math.isclose(self.sum, other.sum, rel_tol=SUM_TOLERANCE)


def window(load: stream.Load) -> list[tuple[str, Columns]]:
    """What the worker publishes of the first window of a load."""
    decoder, found = SampleDecoder(), []
    for partition in range(stream.PARTITIONS):
        config = FoldConfig(topic=SAMPLES.name, partition=partition, epoch=stream.EPOCH)
        fold, offset = PartitionFold(config, start=Start.FRESH, offset=0), 0
        for at_ms, values in stream.seconds(load):
            if at_ms < stream.START_MS + WINDOW_MS:
                mine = [one.value for one in values if one.partition == partition]
                fold.fold(range(offset, offset + len(mine)), decoder.decode_batch(mine))
                offset += len(mine)
        for metric, value in fold.checkpoint(early=True).messages:
            columns = decode_message(value)
            assert isinstance(columns, Columns)
            found.append((metric, columns))
    return found


def at_other_times(one: Sequence[tuple[str, Columns]], windows: int) -> Iterator[list[tuple[str, bytes]]]:
    """The records of one window after the other, the last one a while ago."""
    last_ms = (time.time_ns() // 1_000_000 - AGO_MS) // WINDOW_MS * WINDOW_MS
    for number in range(windows):
        moved = {"start_ms": last_ms - (windows - 1 - number) * WINDOW_MS, "segment": number}
        yield [(metric, encode(msgspec.structs.replace(columns, **moved))) for metric, columns in one]


def totals(one: Sequence[tuple[str, Columns]], windows: int) -> Totals:
    """What all windows add up to."""
    block = block_of([columns for _, columns in one])
    values = block.values
    h_xor = int(np.bitwise_xor.reduce(values.h_xor)) if windows % 2 else 0
    return Totals(
        len(block) * windows,
        int(values.n.sum()) * windows,
        math.fsum(values.sum.tolist()) * windows,
        sum(block.series.tolist()) * windows & MASK,
        sum(values.h_sum.tolist()) * windows & MASK,
        h_xor,
        int(values.positive.counts.sum()) * windows,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of input.

    Attributes:
        rows: How many it becomes.
        fill: Writes it to a broker.
        check: Looks at what was stored.
    """

    name: str
    topic: str
    rows: int
    fill: Callable[[KafkaConfig], Any]
    check: Callable[[Store], None]
    target: float | None = None


def run(options: Options, progress: Progress) -> Section:
    """Measures all cases.

    Raises:
        Mismatch: What was stored was not exact.
        ProgramFailed: A sink ended without its figures.
    """
    return asyncio.run(_run(options, progress))


async def _run(options: Options, progress: Progress) -> Section:
    narrow = stream.Load(total=stream.HOSTS * stream.METRICS * 10, samples_per_record=1)
    wide = stream.Load(total=stream.HOSTS * 1000, samples_per_record=100, wide=True)
    cases = [
        _rollups("rollup rows, 50 in a record", narrow, options.rollup_rows),
        _rollups("rollup rows, 250 in a record", wide, options.rollup_rows),
        _samples("raw samples", options.raw_samples),
    ]
    told = [await _measure(case, options.rounds, progress) for case in cases]
    return Section(
        title="Sink",
        how=HOW.format(hosts=stream.HOSTS, metrics=stream.METRICS, partitions=stream.PARTITIONS),
        figures=[
            Figure(
                name=f"sink, {case.name}",
                value=median(_rates(case, rounds)),
                unit="rows per CPU s",
                target=case.target,
                at_least=True,
            )
            for case, rounds in zip(cases, told, strict=True)
        ],
        tables=[_rounds_table(cases, told), _parts_table(cases, told)],
    )


def _rollups(name: str, load: stream.Load, rows: int) -> Case:
    one = window(load)
    windows = max(1, rows // totals(one, 1).rows) | 1
    wanted = totals(one, windows)

    async def fill(kafka: KafkaConfig) -> None:
        async with producer(kafka) as client:
            outbox = Outbox(client)
            for records in at_other_times(one, windows):
                await outbox.deliver(Message(ROLLUPS.name, metric.encode(), value) for metric, value in records)

    def check(store: Store) -> None:
        (stored,) = store.rows(_STORED)
        if not Totals(*stored).same(wanted):
            raise Mismatch(f"{Totals(*stored)} is stored, {wanted} was published")

    return Case(name=name, topic=ROLLUPS.name, rows=wanted.rows, fill=fill, check=check, target=1_000_000)


def _samples(name: str, total: int) -> Case:
    load = stream.Load(total=total, samples_per_record=100)
    later_ms = (time.time_ns() // 1_000_000 - AGO_MS) // WINDOW_MS * WINDOW_MS - stream.START_MS

    async def fill(kafka: KafkaConfig) -> None:
        async with producer(kafka) as client:
            outbox = Outbox(client)
            for at_ms, values in stream.seconds(load):
                moved = [(to, value.replace(b"%d" % at_ms, b"%d" % (at_ms + later_ms))) for to, _, value in values]
                moved = [(to, one.replace(b"%d" % (at_ms + 5), b"%d" % (at_ms + 5 + later_ms))) for to, one in moved]
                await outbox.deliver(Message(SAMPLES.name, b"host", value, to) for to, value in moved)

    def check(store: Store) -> None:
        ((rows, different),) = store.rows(_SAMPLES)
        if not rows == different == total:
            raise Mismatch(f"{rows} samples are stored, {different} different ones, of {total}")

    return Case(name=name, topic=SAMPLES.name, rows=total, fill=fill, check=check)


async def _measure(case: Case, count: int, progress: Progress) -> list[dict[str, Any]]:
    told = []
    async with broker() as kafka:
        task = progress.add_task(f"sink, {case.name}: the input", total=1 + count)
        await case.fill(kafka)
        for number in range(count):
            progress.update(task, advance=1, description=f"sink, {case.name}: round {number + 1} of {count}")
            async with clickhouse() as config:
                about = {"topic": case.topic, "rows": case.rows, "group": f"benchmark-{number}", "port": config.port}
                options = json.dumps({**about, "bootstrap": kafka.bootstrap})
                told.append(await told_by("benchmarks.sink_process", options, within_s=ROUND_S))
                await asyncio.to_thread(case.check, Store(config))
        progress.update(task, advance=1)
    return told


@asynccontextmanager
async def clickhouse() -> AsyncIterator[ClickHouseConfig]:
    """An embedded ClickHouse in a process of its own, empty."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        service = EmbeddedClickHouse(Path(folder) / "data", free_ports(6), Path(folder) / "clickhouse.log")
        await asyncio.to_thread(service.start)
        try:
            yield ClickHouseConfig(port=service.port)
        finally:
            await asyncio.to_thread(service.stop, STOP_S)


def _rates(case: Case, rounds: Sequence[dict[str, Any]]) -> list[float]:
    return [case.rows / told["cpu_s"] for told in rounds]


def _rounds_table(cases: Sequence[Case], told: Sequence[Sequence[dict[str, Any]]]) -> Table:
    rows = [
        [f"{case.name}, {case.rows:,}", *(f"{rate:,.0f}" for rate in _rates(case, rounds))]
        for case, rounds in zip(cases, told, strict=True)
    ]
    headings = ["rows per CPU s", *(f"round {number + 1}" for number in range(len(told[0])))]
    return Table(title="Rounds of the sink", headings=headings, rows=rows)


def _parts_table(cases: Sequence[Case], told: Sequence[Sequence[dict[str, Any]]]) -> Table:
    names = dict.fromkeys(name for rounds in told for one in rounds for name in one["parts_s"])
    rows = [
        [name, *(f"{_part_s(case, rounds, name):.2f}" for case, rounds in zip(cases, told, strict=True))]
        for name in names
    ]
    headings = ["of it, CPU s per million rows", *(case.name for case in cases)]
    return Table(title="Where the sink's time goes", headings=headings, rows=rows)


def _part_s(case: Case, rounds: Sequence[dict[str, Any]], name: str) -> float:
    used_s: list[float] = [one["parts_s"].get(name, 0.0) for one in rounds]
    return median(used_s) * 1_000_000 / case.rows
