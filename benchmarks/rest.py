"""What the whole program uses while nothing is asked of it: memory, its growth, processor time, time to start."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import linear_regression, mean, median

import psutil
from rich.progress import Progress

from benchmarks.figures import Figure, Section, Table
from benchmarks.instance import Started, started
from benchmarks.options import Options

EVERY_S = 2.0
MB = 1_000_000

HOW = """`watchkeeper up` starts with its default settings on an empty folder and runs for {minutes:g} minutes with
nothing but its own collector. From minute {half:g} to {minutes:g} the proportional set size (PSS) and the processor
time of all its processes are read every {every:g} s. Growth is the slope of a straight line through the readings, and
by how much the median of the last minute is above that of the first; less than one percent is taken as none."""


@dataclass(slots=True)
class Observed:
    """Readings of one instance.

    Attributes:
        at_s: When each reading was taken.
        pss_mb: Of each role, one for each reading.
        cpu_s: Processor time of each role between the first and the last reading.
    """

    at_s: list[float] = field(default_factory=list)
    pss_mb: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def totals_mb(self) -> list[float]:
        """All processes together, one for each reading."""
        return [sum(values) for values in zip(*self.pss_mb.values(), strict=True)]

    @property
    def seconds(self) -> float:
        """Between the first and the last reading."""
        return self.at_s[-1] - self.at_s[0]


def run(options: Options, progress: Progress) -> Section:
    """Measures one instance in the second half of its minutes."""
    total_s = options.minutes * 60
    task = progress.add_task("rest: starting", total=round(total_s))
    began_s = time.monotonic()

    def show(what: str) -> None:
        progress.update(task, completed=min(total_s, time.monotonic() - began_s), description=f"rest: {what}")

    with started() as instance:
        while (left_s := began_s + total_s / 2 - time.monotonic()) > 0:
            show("settling")
            time.sleep(min(EVERY_S, left_s))
        observed = Observed()
        before = _read(instance, observed)
        while time.monotonic() < began_s + total_s:
            show("observed")
            time.sleep(EVERY_S)
            before = _add_cpu(observed, before, _read(instance, observed), instance.roles())
    return _section(options, instance.ready_s, observed)


def _read(instance: Started, observed: Observed) -> Mapping[int, float]:
    """Takes one reading; processor time so far by process id."""
    roles, cpu_s = instance.roles(), {}
    pss_mb: defaultdict[str, float] = defaultdict(float)
    for process in instance.family():
        try:
            times = process.cpu_times()
            cpu_s[process.pid] = times.user + times.system
            memory = process.memory_full_info()
            # Only Linux tells the proportional size; elsewhere it is what is not shared.
            pss_mb[_role(process.pid, roles)] += getattr(memory, "pss", memory.uss) / MB
        except psutil.NoSuchProcess:
            continue
    observed.at_s.append(time.monotonic())
    for role in {*pss_mb, *observed.pss_mb}:
        known = observed.pss_mb[role]
        known += [0.0] * (len(observed.at_s) - 1 - len(known)) + [pss_mb[role]]
    return cpu_s


def _add_cpu(
    observed: Observed, before: Mapping[int, float], now: Mapping[int, float], roles: Mapping[int, str]
) -> Mapping[int, float]:
    """A process that came in between counts from its start."""
    for pid, used_s in now.items():
        observed.cpu_s[_role(pid, roles)] += used_s - before.get(pid, 0.0)
    return now


def _role(pid: int, roles: Mapping[int, str]) -> str:
    return roles.get(pid, "helpers")


def _section(options: Options, ready_s: float, observed: Observed) -> Section:
    totals_mb = observed.totals_mb
    slope_mb_per_s = linear_regression(observed.at_s, totals_mb).slope
    minute = max(1, min(len(totals_mb) // 2, round(60 / EVERY_S)))
    share = sum(observed.cpu_s.values()) / observed.seconds * 100
    return Section(
        title="At rest",
        how=HOW.format(minutes=options.minutes, half=options.minutes / 2, every=EVERY_S),
        figures=[
            Figure(name="ready after", value=ready_s, unit="s", target=15),
            Figure(name="memory at rest, mean PSS", value=mean(totals_mb) / 1000, unit="GB", target=1.0, strict=True),
            Figure(name="memory at rest, growth by slope", value=slope_mb_per_s * 3600, unit="MB per hour"),
            Figure(
                name="memory at rest, last minute's median over the first's",
                value=(median(totals_mb[-minute:]) / median(totals_mb[:minute]) - 1) * 100,
                unit="% more",
                target=1,
                strict=True,
            ),
            Figure(name="processor at rest", value=share, unit="% of one core", target=25, strict=True),
        ],
        tables=[_table(observed)],
    )


def _table(observed: Observed) -> Table:
    rows = [
        _row(role, readings_mb, observed.cpu_s[role] / observed.seconds)
        for role, readings_mb in observed.pss_mb.items()
    ]
    rows.append(_row("all", observed.totals_mb, sum(observed.cpu_s.values()) / observed.seconds))
    headings = ("process", "PSS, mean MB", "PSS, greatest MB", "CPU, % of one core")
    return Table(title="By process, at rest", headings=headings, rows=rows)


def _row(name: str, readings_mb: Sequence[float], cores: float) -> list[str]:
    return [name, f"{mean(readings_mb):.1f}", f"{max(readings_mb):.1f}", f"{cores * 100:.2f}"]
