"""How often rules are wrong of a month in which nothing is."""

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from rich.progress import Progress

from benchmarks.figures import Figure, Section, Table
from benchmarks.options import Options
from benchmarks.scenarios.judging import rules
from benchmarks.scenarios.load import EPOCH, MINUTE_S, SAMPLES, SERIES, TOPIC, Load
from engine.evaluator import Evaluator, EvaluatorConfig
from engine.parts import VersionedRule
from engine.trial import BEGIN_MS
from schemas.alerts import State
from schemas.rollup_wire import Mark

SEED = 20261127
PLATFORMS = 4
BOUND = 0.01

HOW = """{days:g} virtual days of {platforms} platforms of {series} series each in which nothing is wrong: machines,
routes, services, queues and logins with the seasons of days and weeks. Noise is normal on half of the platforms; on
the others it has heavy tails, and requests, errors and failed logins come in bursts. What would be measured each ten
seconds is added up to rollup rows of a minute, and the evaluator of the workers evaluates the default rules and those
of `examples/rules/services.yaml` each minute: its grid has the length of the windows. So {samples:,.0f} samples are
played, and {points:,.0f} grid points. Every alert that fires is false. The bound is one-sided, of 95 %, as if alerts
came independently (Poisson). The seed is {seed}."""


def false_alerts(platform: int, days: float, seed: int = SEED) -> list[str]:
    """What fired on one platform."""
    minute_ms = MINUTE_S * 1000
    config = EvaluatorConfig(inputs=frozenset({(TOPIC, 0)}), window_ms=minute_ms, laggard_ms=2 * minute_ms)
    evaluator = Evaluator(config)
    evaluator.apply_rules({rule.id: VersionedRule(1, rule) for rule in rules()})
    evaluator.restore([], BEGIN_MS)
    load = Load(np.random.default_rng([seed, platform]), heavy=platform % 2 == 1, begin_ms=BEGIN_MS)
    found = []
    for at_ms, every in load.minutes(round(days * 24)):
        for rows in every:
            evaluator.add_rows(rows)
        evaluator.add_mark(Mark(TOPIC, EPOCH, 0, at_ms, 0))
        for one in (one for evaluation in evaluator.evaluate() for one in evaluation.transitions):
            if one.to_state is State.FIRING and one.from_state in (State.OK, State.PENDING):
                day = (at_ms - BEGIN_MS) / 86_400_000
                found.append(f"{one.rule} {' '.join(one.entity.values())} on day {day:.2f}")
    return found


def run(options: Options, progress: Progress) -> Section:
    """Plays all platforms, two at a time."""
    task = progress.add_task("quiet", total=PLATFORMS)
    found: list[list[str]] = []
    with ProcessPoolExecutor(2) as pool:
        for one in pool.map(partial(false_alerts, days=options.quiet_days), range(PLATFORMS)):
            found.append(one)
            progress.update(task, advance=1)
    return section(found, options.quiet_days)


def section(found: Sequence[Sequence[str]], days: float) -> Section:
    """Figures of the alerts of each platform."""
    series_days = SERIES * len(found) * days
    count = sum(map(len, found))
    minutes = days * 1440 * len(found)
    rows = [[str(platform), told] for platform, some in enumerate(found) for told in some]
    return Section(
        title="Quiet load",
        how=HOW.format(
            days=days,
            platforms=len(found),
            series=SERIES,
            samples=SAMPLES * minutes,
            points=minutes,
            seed=SEED,
        ),
        figures=[
            Figure(name="false alerts, quiet load", value=count / series_days, unit="per series-day", target=BOUND),
            Figure(
                name="false alerts, quiet load, upper bound",
                value=poisson_upper_bound(count) / series_days,
                unit="per series-day",
            ),
        ],
        tables=[Table(title="False alerts", headings=("platform", "alert"), rows=rows[:40])],
    )


def poisson_upper_bound(count: int, *, confidence: float = 0.95) -> float:
    """What the mean of a Poisson distribution is at most that gave a count: where as few are too seldom.

    F. Garwood, Fiducial Limits for the Poisson Distribution, Biometrika 28 (1936).
    """
    low, high = float(count), 2.0 * count + 10.0
    while high - low > 1e-9:
        mean = (low + high) / 2
        as_few = sum(math.exp(number * math.log(mean) - mean - math.lgamma(number + 1)) for number in range(count + 1))
        low, high = (mean, high) if as_few > 1 - confidence else (low, mean)
    return high
