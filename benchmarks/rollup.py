"""Processor time of the rollup: the real worker on a log that stands there, on the broker that `up` brings along."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from rich.progress import Progress

from benchmarks import exact, stream
from benchmarks.figures import Figure, Section, Table
from benchmarks.options import Options
from benchmarks.run import MILLION, fill, ours
from benchmarks.services import broker

HOW = """The worker (`agents/worker.py:process`) runs in a process of its own on an embedded broker, with a fresh
consumer group in each round, on a log of {hosts} hosts that send {metrics} metrics each second to {partitions}
partitions, ticks included. A record of 100 samples holds five values of each metric of one host; in the last case
they are five series. Its processor time, user and system of all threads, counts from the moment partitions are
assigned to it until every row is published and acknowledged and the offsets are committed: fetching, decoding,
folding, publishing, committing. The start of the interpreter does not count, and no rules are evaluated. After each
round `metrics.rollups` is read and held against a plain fold of the input, every series and window; a difference
fails the run. Figures are medians."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One shape of input.

    Attributes:
        load: The samples of one round.
        unit: What the processor time is divided by a million of.
    """

    name: str
    load: stream.Load
    unit: str
    target: float | None = None


@dataclass(slots=True)
class Rounds:
    """What the rounds of one case told."""

    case: Case
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def used_s(self) -> list[float]:
        """Processor seconds for a million, by round."""
        return [told["cpu_s"] * MILLION / self.case.load.total for told in self.told]


def run(options: Options, progress: Progress) -> Section:
    """Measures all cases.

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
    rounds, what = Rounds(case), f"rollup, {case.name}"
    async with broker() as kafka:
        ends = await fill(kafka, case.load, progress, what=what)
        task = progress.add_task(f"{what}: the plain fold", total=1 + count)
        wanted = await asyncio.to_thread(exact.expected, case.load)
        for number in range(count):
            progress.update(task, advance=1, description=f"{what}: round {number + 1} of {count}")
            rounds.told.append(await ours(kafka, f"benchmark-{number}", ends, wanted))
        progress.update(task, advance=1)
    return rounds


def _figures(rounds: Rounds) -> list[Figure]:
    case = rounds.case
    unit = f"CPU s per million {case.unit}"
    return [Figure(name=f"rollup, {case.name}", value=median(rounds.used_s), unit=unit, target=case.target)]


def _rounds_table(done: Sequence[Rounds]) -> Table:
    rows = [
        [f"{rounds.case.name}, {rounds.case.load.total:,} {rounds.case.unit}", *_cells(rounds.used_s)]
        for rounds in done
    ]
    headings = ["CPU s per million", *(f"round {number + 1}" for number in range(len(done[0].told)))]
    return Table(title="Rounds", headings=headings, rows=rows)


def _cells(values: Sequence[float]) -> list[str]:
    return [f"{value:.2f}" for value in values]


def _parts_table(done: Sequence[Rounds]) -> Table:
    names = dict.fromkeys(name for rounds in done for told in rounds.told for name in told["parts_s"])
    rows = [[name, *(f"{_part_s(rounds, name):.2f}" for rounds in done)] for name in names]
    headings = ["of it, CPU s per million", *(f"{rounds.case.name}" for rounds in done)]
    return Table(title="Where the worker's time goes", headings=headings, rows=rows)


def _part_s(rounds: Rounds, name: str) -> float:
    used_s: list[float] = [told["parts_s"].get(name, 0.0) for told in rounds.told]
    return median(used_s) * MILLION / rounds.case.load.total
