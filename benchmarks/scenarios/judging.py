"""Plays the scenarios through the fold and the evaluator of the workers, and counts what their rules say.

Each scenario is half an hour or more of a small platform. Some have one fault, of a kind and a size that the seed
chooses; the others have something that operators do every day. What is true is known by construction.
"""

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from rich.progress import Progress

from benchmarks.figures import Figure, Section, Table, p95
from benchmarks.options import ROOT, Options
from benchmarks.scenarios.faults import FAULTS, LOOK_BACK_S, SLOW, Fault
from benchmarks.scenarios.habits import HABITS
from benchmarks.scenarios.platform import AFTER_S, QUIET_S, Platform
from engine.rules import wilson_lower_bound
from engine.trial import play
from operations.rules_file import default_rules, load_rules
from schemas.alerts import State, Transition
from schemas.rules import Rule

SEED = 20261127
GRACE_S = 300
"""Alerts that come so soon after the end of a fault still tell of it."""

HOW = """{count} seeded scenarios of a small platform in virtual time, through the fold and the evaluator of the
workers, with the default rules and those of `examples/rules/services.yaml`. {faults} of them have one fault; the others
have deploys, backups, restarts, counters that begin anew, batches that come late, machines that are added, a rush, a
clock that is off. An alert is a true one if it fires in a scenario with a fault, from the fault's cause on until
{grace:g} s after its end, and is about what it strikes: its machine, service, queue, or everything. Any other is a
false one. The delay counts from the moment at which the fault matters: at once, or of what grows from where the
scenario says. Bounds are one-sided, of 95 %: Wilson's for parts, an order statistic for the delay. The seed is {seed};
rules and scenarios were made with others."""

KINDS = (*FAULTS, *HABITS)


@dataclass(slots=True)
class Verdict:
    """What became of a scenario.

    Attributes:
        delay_s: From the begin of the fault to the first true alert; None: it was not found, or there was none.
    """

    name: str
    has_fault: bool
    true: int = 0
    false: list[str] = field(default_factory=list)
    delay_s: float | None = None


@cache
def rules() -> tuple[Rule, ...]:
    """Those of the default, and those of the example for services; a rule of the same name comes from the latter."""
    every = [*default_rules().rules, *load_rules(ROOT / "examples" / "rules" / "services.yaml").rules]
    return tuple({rule.id: rule for rule in every}.values())


def judged(number: int, seed: int = SEED) -> Verdict:
    """One scenario, by its number: all kinds take their turns."""
    scenario = KINDS[number % len(KINDS)]
    seconds = QUIET_S + AFTER_S + (2 * LOOK_BACK_S if scenario in SLOW else 0)
    platform = Platform(np.random.default_rng([seed, number]), seconds)
    fault = scenario(platform)
    verdict = Verdict(scenario.__name__, fault is not None)
    for at_ms, transitions in play(rules(), platform.samples(), until_ms=seconds * 1000):
        for one in transitions:
            if one.to_state is State.FIRING and one.from_state in (State.OK, State.PENDING):
                _count(verdict, fault, at_ms / 1000, one)
    return verdict


def _count(verdict: Verdict, fault: Fault | None, at_s: float, alert: Transition) -> None:
    about = set(alert.entity.values())
    if fault is None or not _meant(fault, at_s, about):
        verdict.false.append(f"{alert.rule} {' '.join(alert.entity.values())} at {at_s:g} s")
        return
    verdict.true += 1
    if verdict.delay_s is None:
        verdict.delay_s = max(0.0, at_s - fault.from_s)


def _meant(fault: Fault, at_s: float, about: set[str]) -> bool:
    since_s = fault.from_s if fault.cause_s is None else min(fault.cause_s, fault.from_s)
    return since_s < at_s <= fault.to_s + GRACE_S and (not about or bool(fault.about & about))


def run(options: Options, progress: Progress) -> Section:
    """Plays all scenarios, on two processors."""
    task = progress.add_task("scenarios", total=options.scenarios)
    verdicts: list[Verdict] = []
    with ProcessPoolExecutor(2) as pool:
        for verdict in pool.map(judged, range(options.scenarios), chunksize=4):
            verdicts.append(verdict)
            progress.update(task, advance=1)
    return section(verdicts)


def section(verdicts: Sequence[Verdict]) -> Section:
    """Figures and tables of what was found."""
    faults = [one for one in verdicts if one.has_fault]
    delays = sorted(one.delay_s for one in faults if one.delay_s is not None)
    true, false = sum(one.true for one in verdicts), sum(len(one.false) for one in verdicts)
    told, struck = max(1, true + false), max(1, len(faults))
    return Section(
        title="Scenarios",
        how=HOW.format(count=len(verdicts), faults=len(faults), grace=GRACE_S, seed=SEED),
        figures=[
            Figure(name="true alerts", value=true, unit="alerts", target=0.6 * len(verdicts), at_least=True),
            Figure(name="false discovery rate", value=100 * false / told, unit="%", target=1, strict=True),
            Figure(
                name="false discovery rate, upper bound",
                value=100 * (1 - wilson_lower_bound(true, told, confidence=0.95)),
                unit="%",
            ),
            Figure(name="faults that are found", value=100 * len(delays) / struck, unit="%", target=95, at_least=True),
            Figure(
                name="faults that are found, lower bound",
                value=100 * wilson_lower_bound(len(delays), struck, confidence=0.95),
                unit="%",
            ),
            Figure(name="detection, p95", value=p95(delays or [0.0]), unit="s", target=300, strict=True),
            Figure(name="detection, p95, upper bound", value=p95_upper_bound(delays or [0.0]), unit="s"),
        ],
        tables=[_by_kind(verdicts), _false(verdicts)],
    )


def p95_upper_bound(delays: Sequence[float]) -> float:
    """What the 95th percentile is at most, 95 % sure: an order statistic, whose rank a binomial distribution gives.

    W. J. Conover, Practical Nonparametric Statistics, 3.2, with its normal approximation. The greatest of few.

    Args:
        delays: In order.
    """
    count = len(delays)
    rank = math.ceil(0.95 * count + 1.645 * math.sqrt(0.95 * 0.05 * count))
    return delays[min(count, rank) - 1]


def _by_kind(verdicts: Sequence[Verdict]) -> Table:
    rows = []
    for name in dict.fromkeys(one.name for one in verdicts):
        some = [one for one in verdicts if one.name == name]
        delays = [one.delay_s for one in some if one.delay_s is not None]
        found = f"{len(delays)} of {len(some)}" if some[0].has_fault else ""
        true, false = sum(one.true for one in some), sum(len(one.false) for one in some)
        late = f"{p95(delays):.0f}" if delays else ""
        rows.append([name.replace("_", " "), str(len(some)), found, late, str(true), str(false)])
    return Table(
        title="By kind", headings=("", "scenarios", "found", "p95 s", "true alerts", "false alerts"), rows=rows
    )


def _false(verdicts: Iterable[Verdict]) -> Table:
    rows = [[one.name.replace("_", " "), told] for one in verdicts for told in one.false]
    return Table(title="False alerts", headings=("scenario", "alert"), rows=rows[:40])
