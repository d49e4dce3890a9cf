"""What rules that a sensible installation has say of faults, and of what only looks like one.

Each scenario is half an hour or more of a small platform in virtual time, through the fold and the evaluator of the
workers: six machines, two services with three routes each, a queue. Half of them have one fault, of a kind and a size
that the seed chooses; the others have something that operators do every day. What is true is known by construction.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
from rich.progress import Progress

from benchmarks.figures import Figure, Section, Table, p95
from benchmarks.options import ROOT, Options
from engine.rules import wilson_lower_bound
from engine.trial import Given, play
from schemas.alerts import State, Transition
from schemas.rules import Rule
from watchkeeper.rules_file import default_rules, load_rules

SEED = 20261126
STEP_S = 10
QUIET_S = 660
"""Before anything happens."""

LONG_QUIET_S = 1_980
"""Before what a forecast is to find, which looks back half an hour."""

AFTER_S = 1_500
LONG_AFTER_S = 2_700

MACHINES = tuple(f"web-{number}" for number in range(6))
ROUTES = {"shop": ("/", "/cart", "/pay"), "mail": ("/", "/send", "/list")}
GRACE_S = 300
"""Alerts that come so soon after the end of a fault still tell of it."""

HOW = """{count} seeded scenarios of a small platform in virtual time, through the fold and the evaluator of the
workers, with the default rules and those of `examples/rules/services.yaml`. Half of them have one fault; the others
have deploys, backups, restarts, batches that come late, machines that are added, a rush. An alert is a true one if it
fires in a scenario with a fault, from the fault's cause on until {grace:g} s after its end, and is about what it
strikes: its machine, service, queue, or everything. Any other is a false one. The delay counts from the moment at which
the fault matters: at once, or of what grows from where the scenario says. The bounds are one-sided, of 95 %
(Wilson)."""

Noise = np.random.Generator


@dataclass(slots=True)
class Platform:
    """What is measured each ten seconds; faults and habits change some of it.

    Attributes:
        cpu: Of each machine, by second; so are `memory` and `disk`.
        errors: Part of requests that fail, by service, route and second.
        alive: Whether a machine sends.
        late_s: How late what a machine sends comes.
    """

    noise: Noise
    seconds: int
    cpu: Callable[[str, int], float] = lambda _machine, _at_s: 0.35
    memory: Callable[[str, int], float] = lambda _machine, _at_s: 0.55
    disk: Callable[[str, int], float] = lambda _machine, _at_s: 0.60
    errors: Callable[[str, str, int], float] = lambda _service, _route, _at_s: 0.002
    requests: Callable[[str, str, int], float] = lambda _service, _route, _at_s: 40.0
    duration_s: Callable[[str, int], float] = lambda _service, _at_s: 0.12
    lag: Callable[[int], float] = lambda _at_s: 60.0
    logins: Callable[[int], float] = lambda _at_s: 1.5
    alive: Callable[[str, int], bool] = lambda _machine, _at_s: True
    late_s: Callable[[str, int], int] = lambda _machine, _at_s: 0
    machines: Sequence[str] = MACHINES

    def samples(self) -> Iterator[Given]:
        """Everything that is sent."""
        noise = self.noise
        for at_s in range(0, self.seconds, STEP_S):
            for machine in self.machines:
                if self.alive(machine, at_s):
                    yield from self._machine(machine, at_s)
            if self.alive("app", at_s):
                yield from self._services(at_s)
                lag = max(0.0, self.lag(at_s) * noise.lognormal(0, 0.3))
                yield Given(at_s * 1000, "queue-1", "messaging.lag", "gauge", {"queue": "orders"}, lag)
                failed = float(noise.poisson(self.logins(at_s)))
                yield Given(at_s * 1000, "app", "auth.failures", "delta", {}, failed)

    def _machine(self, machine: str, at_s: int) -> Iterator[Given]:
        noise, late_ms = self.noise, self.late_s(machine, at_s) * 1000
        levels = {
            "system.cpu.utilization": self.cpu(machine, at_s) + noise.normal(0, 0.03),
            "system.memory.utilization": self.memory(machine, at_s) + noise.normal(0, 0.003),
            "system.uptime": 1e6 + at_s,
        }
        for metric, value in levels.items():
            yield Given(at_s * 1000, machine, metric, "gauge", {}, float(np.clip(value, 0, 1e9)), late_ms)
        disk = float(np.clip(self.disk(machine, at_s) + noise.normal(0, 0.0003), 0, 1))
        about = {"system.filesystem.mountpoint": "/"}
        yield Given(at_s * 1000, machine, "system.filesystem.utilization", "gauge", about, disk, late_ms)

    def _services(self, at_s: int) -> Iterator[Given]:
        noise = self.noise
        for service, routes in ROUTES.items():
            for route in routes:
                count = int(noise.poisson(max(0.0, self.requests(service, route, at_s))))
                failed = int(noise.binomial(count, min(1.0, self.errors(service, route, at_s))))
                for outcome, number in (("error", failed), ("ok", count - failed)):
                    about = {"service": service, "route": route, "outcome": outcome}
                    if count:
                        yield Given(at_s * 1000, "app", "http.server.requests", "delta", about, float(number))
            if self.requests(service, routes[0], at_s):
                for _ in range(3):
                    took = self.duration_s(service, at_s) * noise.lognormal(0, 0.4)
                    about = {"service": service}
                    yield Given(at_s * 1000, "app", "http.server.request.duration", "gauge", about, float(took))


class Fault(NamedTuple):
    """Something that is wrong.

    Attributes:
        from_s: When it begins to matter.
        about: Values of an alert's dimensions that it strikes; an alert without dimensions is about everything.
        cause_s: When what leads to it begins, if that is earlier.
    """

    from_s: int
    to_s: int
    about: frozenset[str]
    cause_s: int | None = None


Scenario = Callable[[Platform], Fault | None]


def _window(platform: Platform, least_s: int, most_s: int) -> tuple[int, int]:
    begin = QUIET_S + int(platform.noise.integers(0, 60)) * STEP_S
    return begin, min(platform.seconds, begin + int(platform.noise.integers(least_s, most_s)))


def _one(platform: Platform, some: Sequence[str]) -> str:
    return str(platform.noise.choice(some))


def crash(platform: Platform) -> Fault:
    """A machine dies."""
    begin, end = _window(platform, 300, 900)
    struck = _one(platform, MACHINES)
    platform.alive = lambda machine, at_s: not (machine == struck and begin <= at_s < end)
    return Fault(begin, end, frozenset({struck}))


def hang(platform: Platform) -> Fault:
    """A service answers nothing, and its machine is well."""
    begin, end = _window(platform, 300, 900)
    struck = _one(platform, tuple(ROUTES))
    platform.requests = lambda service, _route, at_s: 0.0 if service == struck and begin <= at_s < end else 40.0
    return Fault(begin, end, frozenset({struck}))


def error_burst(platform: Platform) -> Fault:
    """Requests of a service fail."""
    begin, end = _window(platform, 180, 900)
    struck, part = _one(platform, tuple(ROUTES)), float(platform.noise.uniform(0.06, 0.6))
    platform.errors = lambda service, _route, at_s: part if service == struck and begin <= at_s < end else 0.002
    return Fault(begin, end, frozenset({struck}))


def bad_route(platform: Platform) -> Fault:
    """One route of a service fails."""
    begin, end = _window(platform, 240, 900)
    struck, part = _one(platform, tuple(ROUTES)), float(platform.noise.uniform(0.3, 0.9))
    bad = _one(platform, ROUTES[struck])
    platform.errors = lambda service, route, at_s: (
        part if (service, route) == (struck, bad) and begin <= at_s < end else 0.002
    )
    return Fault(begin, end, frozenset({struck, bad}))


def slow_creep(platform: Platform) -> Fault:
    """Requests get slower and slower. It matters from where their 95th percentile passes a second."""
    begin, end = _window(platform, 900, 1200)
    struck, doubles_s = _one(platform, tuple(ROUTES)), float(platform.noise.uniform(60, 150))
    platform.duration_s = lambda service, at_s: (
        0.12 * min(40.0, 2 ** ((at_s - begin) / doubles_s)) if service == struck and begin <= at_s < end else 0.12
    )
    passes_s = begin + int(doubles_s * np.log2(1 / (0.12 * np.exp(1.645 * 0.4))))
    return Fault(passes_s, end, frozenset({struck}), begin)


def leak(platform: Platform) -> Fault:
    """Memory of a machine fills. It matters from half an hour before it is full, or as soon as that is."""
    begin = LONG_QUIET_S
    struck, per_s = _one(platform, MACHINES), float(platform.noise.uniform(0.5, 0.75)) / 3600
    platform.memory = lambda machine, at_s: (
        0.45 + min(0.54, max(0, at_s - begin) * per_s) if machine == struck else 0.55
    )
    full_s = begin + int(0.54 / per_s)
    return Fault(full_s - 1_800, platform.seconds, frozenset({struck}), begin)


def disk_fill(platform: Platform) -> Fault:
    """A file system fills. It matters from where a tenth of it was written: less is a large file."""
    begin = LONG_QUIET_S + int(platform.noise.integers(0, 60)) * STEP_S
    struck, per_s = _one(platform, MACHINES), float(platform.noise.uniform(0.35, 2.0)) / 3600
    platform.disk = lambda machine, at_s: 0.60 + (min(0.39, max(0, at_s - begin) * per_s) if machine == struck else 0.0)
    return Fault(begin + int(0.10 / per_s), platform.seconds, frozenset({struck}), begin)


def partition_loss(platform: Platform) -> Fault:
    """Nobody reads the queue: messages wait."""
    begin, end = _window(platform, 600, 1200)
    per_s = float(platform.noise.uniform(20, 200))
    platform.lag = lambda at_s: 60.0 + (max(0, at_s - begin) * per_s if at_s < end else 0.0)
    return Fault(begin, end, frozenset({"orders"}))


def bad_host(platform: Platform) -> Fault:
    """One machine is busy, the others are not."""
    begin, end = _window(platform, 600, 1200)
    struck = _one(platform, MACHINES)
    platform.cpu = lambda machine, at_s: 0.93 if machine == struck and begin <= at_s < end else 0.35
    return Fault(begin, end, frozenset({struck}))


def login_burst(platform: Platform) -> Fault:
    """Somebody guesses passwords."""
    begin, end = _window(platform, 180, 600)
    each = float(platform.noise.uniform(25, 200))
    platform.logins = lambda at_s: each if begin <= at_s < end else 1.5
    return Fault(begin, end, frozenset())


def deploy(platform: Platform) -> None:
    """All machines are busy for two minutes, some requests fail, some are slow."""
    begin = QUIET_S + int(platform.noise.integers(0, 60)) * STEP_S
    platform.cpu = lambda _machine, at_s: 0.9 if begin <= at_s < begin + 120 else 0.35
    platform.errors = lambda _service, _route, at_s: 0.015 if begin <= at_s < begin + 40 else 0.002
    platform.duration_s = lambda _service, at_s: 0.4 if begin <= at_s < begin + 60 else 0.12


def backup(platform: Platform) -> None:
    """A machine is busy for four minutes and writes some of its disk, which it frees at the end."""
    begin = QUIET_S + int(platform.noise.integers(0, 60)) * STEP_S
    struck = _one(platform, MACHINES)
    platform.cpu = lambda machine, at_s: 0.6 if machine == struck and begin <= at_s < begin + 240 else 0.35
    platform.disk = lambda machine, at_s: (
        0.60 + (0.04 * (at_s - begin) / 240 if machine == struck and begin <= at_s < begin + 240 else 0.0)
    )


def restart(platform: Platform) -> None:
    """A service restarts: half a minute without requests, then more of them than usual."""
    begin = QUIET_S + int(platform.noise.integers(0, 60)) * STEP_S
    struck = _one(platform, tuple(ROUTES))
    platform.requests = lambda service, _route, at_s: (
        40.0 if service != struck or at_s < begin or at_s > begin + 90 else 0.0 if at_s < begin + 30 else 70.0
    )


def late_batch(platform: Platform) -> None:
    """A machine keeps what it measures for forty seconds, and sends it then."""
    begin = QUIET_S + int(platform.noise.integers(0, 60)) * STEP_S
    struck = _one(platform, MACHINES)
    platform.late_s = lambda machine, at_s: begin + 40 - at_s if machine == struck and begin <= at_s < begin + 40 else 0


def scale_out(platform: Platform) -> None:
    """Two machines are added, which are busy at first."""
    begin = QUIET_S + int(platform.noise.integers(0, 60)) * STEP_S
    new = ("web-6", "web-7")
    platform.machines = (*MACHINES, *new)
    platform.alive = lambda machine, at_s: machine not in new or at_s >= begin
    platform.cpu = lambda machine, at_s: 0.97 if machine in new and at_s < begin + 90 else 0.35


def rush(platform: Platform) -> None:
    """Three times as many requests for ten minutes, on all machines."""
    begin = QUIET_S + int(platform.noise.integers(0, 60)) * STEP_S
    platform.requests = lambda _service, _route, at_s: 120.0 if begin <= at_s < begin + 600 else 40.0
    platform.cpu = lambda _machine, at_s: 0.8 if begin <= at_s < begin + 600 else 0.35
    platform.lag = lambda at_s: 400.0 if begin <= at_s < begin + 600 else 60.0


FAULTS: tuple[Scenario, ...] = (
    *(crash, hang, error_burst, bad_route, slow_creep, leak, disk_fill, partition_loss, bad_host, login_burst),
)
HABITS: tuple[Scenario, ...] = (deploy, backup, restart, late_batch, scale_out, rush)


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
def rules() -> list[Rule]:
    """Those of the default, and those of the example for services; a rule of the same name comes from the latter."""
    every = [*default_rules().rules, *load_rules(ROOT / "examples" / "rules" / "services.yaml").rules]
    return list({rule.id: rule for rule in every}.values())


def judged(number: int) -> Verdict:
    """One scenario, by its number."""
    noise = np.random.default_rng([SEED, number])
    kinds = FAULTS if number % 2 else HABITS
    scenario = kinds[number // 2 % len(kinds)]
    grows = scenario in (leak, disk_fill)
    platform = Platform(noise, LONG_QUIET_S + LONG_AFTER_S if grows else QUIET_S + AFTER_S)
    fault = scenario(platform)
    verdict = Verdict(scenario.__name__, fault is not None)
    for at_ms, transitions in play(rules(), list(platform.samples()), until_ms=platform.seconds * 1000):
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
    """Figures and a table of what was found."""
    faults = [one for one in verdicts if one.has_fault]
    found = [one for one in faults if one.delay_s is not None]
    true, false = sum(one.true for one in verdicts), sum(len(one.false) for one in verdicts)
    rate = false / max(1, true + false)
    worst = 1 - wilson_lower_bound(true, max(1, true + false), confidence=0.95)
    least = wilson_lower_bound(len(found), max(1, len(faults)), confidence=0.95)
    recall = 100 * len(found) / max(1, len(faults))
    delays = [one.delay_s for one in found if one.delay_s is not None] or [0.0]
    return Section(
        title="Scenarios",
        how=HOW.format(count=len(verdicts), grace=GRACE_S),
        figures=[
            Figure(name="true alerts", value=true, unit="alerts", target=0.6 * len(verdicts), at_least=True),
            Figure(name="false discovery rate", value=100 * rate, unit="%", target=1, strict=True),
            Figure(name="false discovery rate, upper bound", value=100 * worst, unit="%"),
            Figure(
                name="faults that are found",
                value=recall,
                unit="%",
                target=95,
                at_least=True,
            ),
            Figure(name="faults that are found, lower bound", value=100 * least, unit="%"),
            Figure(name="detection, p95", value=p95(delays), unit="s", target=300, strict=True),
        ],
        tables=[_by_kind(verdicts), _false(verdicts)],
    )


def _by_kind(verdicts: Sequence[Verdict]) -> Table:
    rows = []
    for name in dict.fromkeys(one.name for one in verdicts):
        some = [one for one in verdicts if one.name == name]
        delays = [one.delay_s for one in some if one.delay_s is not None]
        found = f"{len(delays)} of {len(some)}" if some[0].has_fault else ""
        false = sum(len(one.false) for one in some)
        rows.append([name, str(len(some)), found, f"{p95(delays):.0f}" if delays else "", str(false)])
    return Table(title="By kind", headings=("", "scenarios", "found", "p95 s", "false alerts"), rows=rows)


def _false(verdicts: Iterable[Verdict]) -> Table:
    rows = [[one.name, told] for one in verdicts for told in one.false]
    return Table(title="False alerts", headings=("scenario", "alert"), rows=rows[:40])
