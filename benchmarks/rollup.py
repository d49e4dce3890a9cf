"""Processor time of the rollup: the real worker on a log that stands there, and beside it Faust as it is documented."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from rich.progress import Progress

from benchmarks import exact, stream
from benchmarks.figures import Figure, Section, Table
from benchmarks.options import Options
from benchmarks.services import broker, told_by
from connect import offsets
from connect.config import KafkaConfig
from schemas.topics import ROLLUPS, SAMPLES

ROUND_S = 600.0
MILLION = 1_000_000

HOW = """The worker (`agents/worker.py:process`) runs in a process of its own on an embedded broker, with a fresh
consumer group in each round, on a log of {hosts} hosts that send {metrics} metrics each second to {partitions}
partitions, ticks included. A record of 100 samples holds five values of each metric of one host; in the last case
they are five series. Its processor time, user and system of all threads, counts from the moment partitions are
assigned to it until every row is published and acknowledged and the offsets are committed: fetching, decoding,
folding, publishing, committing. The start of the interpreter does not count, and no rules are evaluated. After each
round `metrics.rollups` is read and held against a plain fold of the input, every series and window; a difference
fails the run. The peer is Faust's `take` as its documentation shows it (`benchmarks/faust_take.py`): it decodes and
folds the same log, and throws its rows away. Rounds alternate between the two; figures are medians."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One shape of input.

    Attributes:
        load: The samples of one round.
        unit: What the processor time is divided by a million of.
        peer_records: How many records the peer is given; 0: none.
    """

    name: str
    load: stream.Load
    unit: str
    target: float | None = None
    peer_records: int = 0


@dataclass(slots=True)
class Rounds:
    """What the rounds of one case told."""

    case: Case
    ours: list[dict[str, Any]] = field(default_factory=list)
    peer: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ours_s(self) -> list[float]:
        """Processor seconds for a million, by round."""
        return [told["cpu_s"] * MILLION / self.case.load.total for told in self.ours]

    @property
    def peer_s(self) -> list[float]:
        """The same of the peer, which tells how many records it was given."""
        return [told["cpu_s"] * MILLION / told["records"] for told in self.peer]


def run(options: Options, progress: Progress) -> Section:
    """Measures both cases.

    Raises:
        Mismatch: What was published was not exact.
        ProgramFailed: A worker ended without its figures.
    """
    return asyncio.run(_run(options, progress))


async def _run(options: Options, progress: Progress) -> Section:
    hundred = stream.Load(total=options.samples, samples_per_record=100)
    cases = [
        Case(
            name="records of one sample",
            load=stream.Load(total=options.records, samples_per_record=1),
            unit="records",
            target=4.0,
            peer_records=min(options.peer_records, options.records),
        ),
        Case(name="records of 100", load=hundred, unit="samples", target=1.2),
        Case(name="records of 100, each of another series", load=replace(hundred, wide=True), unit="samples"),
    ]
    done = [await _measure(case, options.rounds, progress) for case in cases]
    return Section(
        title="Rollup",
        how=HOW.format(hosts=stream.HOSTS, metrics=stream.METRICS, partitions=stream.PARTITIONS),
        figures=[figure for rounds in done for figure in _figures(rounds)],
        tables=[_rounds_table(done), _parts_table(done)],
    )


async def _measure(case: Case, count: int, progress: Progress) -> Rounds:
    rounds = Rounds(case)
    async with broker() as kafka:
        ends = await _fill(kafka, case, progress)
        task = progress.add_task(f"rollup, {case.name}: the plain fold", total=1 + count)
        wanted = await asyncio.to_thread(exact.expected, case.load)
        for number in range(count):
            progress.update(task, advance=1, description=f"rollup, {case.name}: round {number + 1} of {count}")
            rounds.ours.append(await _round(kafka, number, ends, wanted))
            if case.peer_records:
                arguments = (kafka.bootstrap, SAMPLES.name, str(case.peer_records))
                rounds.peer.append(await told_by("benchmarks.faust_take", *arguments, within_s=ROUND_S))
        progress.update(task, advance=1)
    return rounds


async def _fill(kafka: KafkaConfig, case: Case, progress: Progress) -> Mapping[int, int]:
    """Writes the input; the end of each partition."""
    total = case.load.total // case.load.samples_per_record
    task = progress.add_task(f"rollup, {case.name}: the input", total=total)
    await stream.fill(kafka, SAMPLES.name, case.load, advance=lambda records: progress.update(task, advance=records))
    return {number: end for (_, number), end in (await offsets.end_offsets(kafka, [SAMPLES.name])).items()}


async def _round(kafka: KafkaConfig, number: int, ends: Mapping[int, int], wanted: exact.Totals) -> dict[str, Any]:
    found = await offsets.end_offsets(kafka, [ROLLUPS.name])
    since = {partition: end for (_, partition), end in found.items()}
    options = {"bootstrap": kafka.bootstrap, "group": f"benchmark-{number}", "ends": ends}
    told = await told_by("benchmarks.worker", json.dumps(options), within_s=ROUND_S)
    await exact.check(kafka, wanted, since=since)
    return told


def _figures(rounds: Rounds) -> list[Figure]:
    case, ours_s = rounds.case, median(rounds.ours_s)
    unit = f"CPU s per million {case.unit}"
    found = [Figure(name=f"rollup, {case.name}", value=ours_s, unit=unit, target=case.target)]
    if rounds.peer:
        peer_s = median(rounds.peer_s)
        found += [
            Figure(name=f"rollup, {case.name}: the peer", value=peer_s, unit=unit),
            Figure(
                name=f"rollup, {case.name}: the peer's over ours",
                value=peer_s / ours_s,
                unit="×",
                target=20,
                at_least=True,
            ),
        ]
    return found


def _rounds_table(done: Sequence[Rounds]) -> Table:
    rows = []
    for rounds in done:
        case = rounds.case
        what = f"{case.name}, {case.load.total:,} {case.unit}"
        rows.append([f"the worker, {what}", *_cells(rounds.ours_s)])
        if rounds.peer:
            rows.append([f"the peer, {case.name}, the first {rounds.peer[0]['records']:,}", *_cells(rounds.peer_s)])
    headings = ["CPU s per million", *(f"round {number + 1}" for number in range(len(done[0].ours)))]
    return Table(title="Rounds", headings=headings, rows=rows)


def _cells(values: Sequence[float]) -> list[str]:
    return [f"{value:.2f}" for value in values]


def _parts_table(done: Sequence[Rounds]) -> Table:
    names = dict.fromkeys(name for rounds in done for told in rounds.ours for name in told["parts_s"])
    rows = [[name, *(f"{_part_s(rounds, name):.2f}" for rounds in done)] for name in names]
    headings = ["of it, CPU s per million", *(f"{rounds.case.name}" for rounds in done)]
    return Table(title="Where the worker's time goes", headings=headings, rows=rows)


def _part_s(rounds: Rounds, name: str) -> float:
    used_s: list[float] = [told["parts_s"].get(name, 0.0) for told in rounds.ours]
    return median(used_s) * MILLION / rounds.case.load.total
