"""The worker beside others on Apache Kafka: the same log, rounds of all in turn, processor time of whole processes."""

import asyncio
import math
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.progress import Progress

from benchmarks import exact, page, stream
from benchmarks.beside import HUNDRED, ONE, PEERS, WORKER, Peer, cost_name, ratio_name, table
from benchmarks.figures import Figure, Section, Table
from benchmarks.options import ROOT, Options
from benchmarks.run import MILLION, ROUND_S, fill, ours
from benchmarks.services import ProgramFailed, apache_kafka, make_topics, told_by
from connect.config import KafkaConfig
from schemas.errors import WatchkeeperError
from schemas.topics import SAMPLES

PYTHON = ROOT / ".venv-bench" / "bin" / "python"
BEGINNING = replace(SAMPLES, name="benchmark.beginning")
"""Holds the beginning of the log, for those who would take minutes for all of it."""

HOW = """One node of Apache Kafka (`watchkeeper/embedded/apache_kafka/`) holds a log of {hosts} hosts that send
{metrics} metrics each second to {partitions} partitions, ticks included. In each round the worker and then each of the
others reads it in a process and a consumer group of its own; figures are medians of {rounds} rounds. Counted is the
processor time of the process, user and system of all threads, and so fetching, decompressing, decoding and folding:
from the assignment of the partitions until the last record is processed (Quix Streams and Bytewax tell no assignment:
from their first record). The worker's also has in it that all rows, with sketches and hashes, are published and
acknowledged, and offsets committed; it is `agents/worker.py:process`, and after each round what it published is held
against a plain fold, every series and window. The others (`benchmarks/peers/`) fold count, sum, min and max and throw
their rows away, but for ClickHouse, which stores them with quantiles. Each tells how many samples are in its rows, and
the sum of their values; one that is wrong has no figure. {slow} are given the first {part_one:,} records of one sample
and the first {part_hundred:,} samples in records of 100; the others and the worker {one:,} and {hundred:,}.
{versions}"""
LEFT_OUT = "Without a figure here: {}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One shape of input: the log, and its beginning for those who are slow."""

    name: str
    load: stream.Load
    beginning: stream.Load


@dataclass(slots=True)
class Done:
    """What the rounds of one case gave.

    Attributes:
        used_s: Processor seconds for a million samples, by who and round.
        left_out: Peer to why it has no figure.
    """

    case: Case
    used_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    left_out: dict[str, str] = field(default_factory=dict)


def run(options: Options, progress: Progress) -> Section:
    """Measures both cases. Where Apache Kafka cannot be run it says so, and measures nothing.

    Raises:
        Mismatch: What the worker published was not exact.
        ProgramFailed: The worker ended without its figures.
    """
    try:
        return asyncio.run(_run(options, progress))
    except WatchkeeperError as error:
        return Section(title="Beside others", how=f"Not measured here: {error}", figures=[])


def cases(options: Options) -> list[Case]:
    """The cases, of the sizes that were asked for."""
    one = stream.Load(total=options.records, samples_per_record=1)
    hundred = stream.Load(total=options.samples, samples_per_record=100)
    part = min(options.peer_records, options.records)
    samples = max(100, options.samples * part // options.records // 100 * 100)
    return [
        Case(name=ONE, load=one, beginning=replace(one, total=part)),
        Case(name=HUNDRED, load=hundred, beginning=replace(hundred, total=samples)),
    ]


async def _run(options: Options, progress: Progress) -> Section:
    versions = {peer.package: _version(peer) for peer in PEERS}
    done = [await _measure(case, options.rounds, versions, progress) for case in cases(options)]
    figures = [figure for one in done for figure in _figures(one)]
    return Section(
        title="Beside others",
        how=_how(options, done, versions),
        figures=figures,
        tables=[table(page.data(figures)), _rounds_table(done, options.rounds)],
    )


def _python(peer: Peer) -> Path:
    return Path(sys.executable) if peer.shared else PYTHON


def _version(peer: Peer) -> str:
    """Of the distribution that a peer shows; empty where it is not installed."""
    command = "import sys, importlib.metadata as all; print(all.version(sys.argv[1]))"
    try:
        asked = subprocess.run([_python(peer), "-c", command, peer.package], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return asked.stdout.decode().strip()


async def _measure(case: Case, rounds: int, versions: Mapping[str, str], progress: Progress) -> Done:
    done, what = Done(case), f"peers, {case.name}"
    done.left_out |= {peer.name: "is not installed" for peer in PEERS if not versions[peer.package]}
    async with apache_kafka() as kafka:
        await make_topics(kafka, [BEGINNING])
        ends = await fill(kafka, case.load, progress, what=what)
        beginning = await fill(kafka, case.beginning, progress, what=what, topic=BEGINNING.name)
        task = progress.add_task(f"{what}: the plain fold", total=1 + rounds * (1 + len(PEERS)))
        wanted = await asyncio.to_thread(exact.expected, case.load)
        part = await asyncio.to_thread(exact.expected, case.beginning)
        for number in range(rounds):
            progress.update(task, advance=1, description=f"{what}: round {number + 1} of {rounds}")
            told = await ours(kafka, f"benchmark-{number}", ends, wanted)
            done.used_s[WORKER].append(told["cpu_s"] * MILLION / case.load.total)
            for peer in PEERS:
                progress.update(task, advance=1)
                records = sum((beginning if peer.slow else ends).values())
                await _peer(kafka, done, peer, records, part if peer.slow else wanted)
        progress.update(task, advance=1)
    return done


async def _peer(kafka: KafkaConfig, done: Done, peer: Peer, records: int, wanted: exact.Totals) -> None:
    """One round of a peer; where it fails or is wrong it is left out from there on."""
    if peer.name in done.left_out:
        return
    topic = BEGINNING.name if peer.slow else SAMPLES.name
    arguments = (kafka.bootstrap, topic, str(records), *peer.arguments)
    try:
        told = await told_by(f"benchmarks.peers.{peer.module}", *arguments, within_s=ROUND_S, python=_python(peer))
    except ProgramFailed as failed:
        done.left_out[peer.name] = f"failed ({str(failed).splitlines()[-1]})"
        return
    if fault := wrong(told, wanted, last_open=peer.last_open):
        done.left_out[peer.name] = fault
        return
    samples = done.case.beginning.total if peer.slow else done.case.load.total
    done.used_s[peer.name].append(told["cpu_s"] * MILLION / samples)


def wrong(told: Mapping[str, Any], wanted: exact.Totals, *, last_open: bool) -> str:
    """What is wrong with the rows of a peer, which tells how many samples are in them, and their sum; empty: nothing.

    Args:
        last_open: Whether the last window of each series is in none of them.
    """
    last: dict[int, int] = {}
    for series, start_ms in wanted if last_open else ():
        last[series] = max(start_ms, last.get(series, 0))
    rows = [total for (series, start_ms), total in wanted.items() if last.get(series) != start_ms]
    count, total = sum(row.n for row in rows), sum(row.total for row in rows)
    if told["count"] == count and math.isclose(told["total"], total, rel_tol=exact.SUM_TOLERANCE):
        return ""
    return f"has {told['count']} samples in its rows, not {count}, with a sum of {told['total']:g}, not {total:g}"


def _figures(done: Done) -> list[Figure]:
    case, unit = done.case.name, "CPU s per million samples"
    ours_s = median(done.used_s[WORKER])
    found = [Figure(name=cost_name(case, WORKER), value=ours_s, unit=unit)]
    for peer in (peer for peer in PEERS if peer.name not in done.left_out):
        peer_s, promise = median(done.used_s[peer.name]), peer.promises.get(case)
        found += [
            Figure(name=cost_name(case, peer.name), value=peer_s, unit=unit),
            Figure(
                name=ratio_name(case, peer.name),
                value=peer_s / ours_s,
                unit="×",
                target=promise.times if promise else None,
                at_least=True,
                strict=promise is not None and promise.strict,
            ),
        ]
    return found


def _rounds_table(done: list[Done], rounds: int) -> Table:
    rows = [
        [name, one.case.name, *(f"{value:.2f}" for value in used_s)]
        for one in done
        for name, used_s in one.used_s.items()
        if name not in one.left_out
    ]
    headings = ["CPU s per million samples", "input", *(f"round {number + 1}" for number in range(rounds))]
    return Table(title="Rounds beside others", headings=headings, rows=rows)


def _how(options: Options, done: list[Done], versions: Mapping[str, str]) -> str:
    one, hundred = cases(options)
    known = [f"{package} {version}" for package, version in versions.items() if version]
    text = HOW.format(
        hosts=stream.HOSTS,
        metrics=stream.METRICS,
        partitions=stream.PARTITIONS,
        rounds=options.rounds,
        slow=", ".join(dict.fromkeys(peer.package for peer in PEERS if peer.slow)),
        part_one=one.beginning.total,
        part_hundred=hundred.beginning.total,
        one=one.load.total,
        hundred=hundred.load.total,
        versions=f"Versions: {', '.join(known)}.",
    )
    left_out: dict[str, Any] = {name: why for one in done for name, why in one.left_out.items()}
    reasons = "; ".join(f"{name} {why}" for name, why in left_out.items())
    return f"{text} {LEFT_OUT.format(reasons)}" if reasons else text
