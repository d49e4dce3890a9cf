"""How well the rule kind `anomaly` finds what people labelled in the Numenta Anomaly Benchmark, one setting for all.

What is counted is what a person is paged for: alerts as the state machine of the workers opens them, not points, and
not the benchmark's own score.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from benchmarks.figures import Figure, Section, Table
from benchmarks.labelled import LABELS, Counted, Labelled, by_chance, counted, labelled
from benchmarks.made_up import JUDGED_DAYS, KINDS, made_up
from benchmarks.naive import DAY, NAIVE
from benchmarks.options import Options
from engine.alerts import new_alert, step
from engine.anomaly import Detector
from engine.rules import Reading, reading_of
from engine.transitions import Moment
from engine.verdicts import breaches
from schemas.alerts import BUCKET_MS, Outcome, State
from schemas.anomaly import AnomalyRule

SEED = 20261126
RULE = AnomalyRule(id="nab", kind="anomaly", metric="m")
"""Its defaults."""

SIGMAS = (3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 8.0)
MADE_UP = 20
"""Series of each kind."""

BUDGETS = (0.01, 0.02, 0.05, 0.1)
OURS = f"anomaly, {RULE.false_alerts_per_day:g} a day"
HEADINGS = ("", "series", "alerts", "precision", "windows found", "false per series-day")

HOW = """{series} series with {windows} labelled windows, {days:,.0f} days, as the detectors are given them: the mean
of the last hour, each five minutes. One setting for all, the default one. It was chosen by half of the series of each
category, taken by a seed; figures of the others are apart, yet they were seen on the way: this is no blind test. An
alert is what `engine/alerts.py` opens: it stays until nothing was wrong for three hours. It is true if it fires
within a labelled window, false otherwise; a window is found if an alert fires in it. Precision is the part of the
alerts that are true; in brackets, with one alert for each window that is found. As in the benchmark itself, the first
15 % of a series, of 5,000 values at most, are not judged. Days are those that are judged, without the windows. The
naive detectors have the same levels and the same state machine: a z-score against everything before, a z-score
against the day before, and the difference to the same time yesterday in deviations of such differences, each beyond
3, and beyond as many as still find so many windows as the kind does, which is known afterwards only. Chance are as
many alerts of each series as of the kind, at random times. What is stated of false alerts is held against {made_up}
made-up series of each of some kinds in which nothing ever happens, {judged_days} days of each."""

_Floats = NDArray[np.float64]
_Count = Callable[[Labelled, Sequence[int]], Counted]


@dataclass(slots=True)
class Told:
    """Times of the alerts of each series, by detector.

    Attributes:
        cpu_s: What the detector of the kind took for so many `buckets`.
    """

    alerts: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    cpu_s: float = 0.0
    buckets: int = 0

    def sum(self, series: Sequence[Labelled], detector: str, count: _Count = counted) -> Counted:
        """What became of the alerts of a detector."""
        return sum((count(one, self.alerts[one.name][detector]) for one in series), Counted())


def run(options: Options, progress: Progress) -> Section:
    """Judges all series of the folder.

    Raises:
        SystemExit: It is not that of the benchmark.
    """
    folder = Path(options.folder)
    if not options.folder or not (folder / LABELS).is_file():
        raise SystemExit(f"no Numenta Anomaly Benchmark in {folder}: give --folder with its data and labels")
    series = list(labelled(folder))
    told = Told()
    for one in progress.track(series, description="nab"):
        told.alerts[one.name] = _alerts(one, told)
    calm = [[kind, *_of_calm(kind)] for kind in progress.track(KINDS, description="nab: made-up series")]
    return section(series, told, calm)


def _of_calm(kind: str) -> list[str]:
    """False alerts by budget of series in which nothing happens."""
    counts = dict.fromkeys(BUDGETS, Counted())
    for series in made_up(kind, MADE_UP):
        for budget, scores in anomalies(series).items():
            counts[budget] += counted(series, list(opened(series, scores)))
    return [f"{one.false_per_day:.3f}" for one in counts.values()]


def _alerts(series: Labelled, told: Told) -> dict[str, list[int]]:
    """By detector."""
    began_s = time.process_time()
    scores = anomalies(series)
    told.cpu_s += time.process_time() - began_s
    told.buckets += len(series.levels)
    found = {f"anomaly, {budget:g} a day": list(opened(series, one)) for budget, one in scores.items()}
    for name, scored in NAIVE.items():
        naive = scored(series.levels)
        found |= {f"{name}, {sigmas:g}": list(opened(series, naive / sigmas)) for sigmas in SIGMAS}
    return found


def anomalies(series: Labelled) -> dict[float, _Floats]:
    """Scores of each bucket by budget, one bucket after the other, as a worker does."""
    detector = Detector()
    scores = {budget: np.full(len(series.levels), np.nan) for budget in BUDGETS}
    for place in range(len(series.levels)):
        detector.take(series.start_ms + place * BUCKET_MS, series.levels[place : place + 1])
        for budget, of_budget in scores.items():
            score = detector.score(budget)
            if score is not None:
                of_budget[place] = score.value
    return scores


def opened(series: Labelled, scores: _Floats) -> Iterator[int]:
    """When alerts fire that were not open before, in milliseconds."""
    alert, told_ms, beyond = new_alert(RULE, {}, 1), 0, scores >= (RULE.warning or 1.0)
    for place, score in enumerate(scores.tolist()):
        if alert.state is State.OK and not beyond[place]:
            continue
        moment = Moment(series.start_ms + (place + 1) * BUCKET_MS, 1, window_ms=BUCKET_MS)
        reading = _reading(score, series.levels[place])
        if alert.state is State.OK and not breaches(RULE, reading, moment):
            continue
        alert = step(alert, reading, RULE, moment)
        if alert.state is State.FIRING and alert.episode_ms != told_ms:
            told_ms = alert.episode_ms
            yield moment.at_ms


def _reading(score: float, level: float) -> Reading:
    if np.isnan(level):
        return Reading(Outcome.NO_DATA)
    return reading_of(None if np.isnan(score) else score)


def halves(series: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    """Those that settings were chosen by, and the others: half of each category, by a seed."""
    chance = random.Random(SEED)
    chosen: set[str] = set()
    for category in sorted({one.category for one in series}):
        names = sorted(one.name for one in series if one.category == category)
        chance.shuffle(names)
        chosen |= set(names[: len(names) // 2])
    return [one for one in series if one.name in chosen], [one for one in series if one.name not in chosen]


def section(series: Sequence[Labelled], told: Told, calm: Sequence[Sequence[str]]) -> Section:
    """Figures and tables of what was told.

    Args:
        calm: A kind of made-up series in each row, and its false alerts by budget.
    """
    parts = {"all": series, **dict(zip(("chosen by", "the others"), halves(series), strict=True))}
    total, others = (told.sum(parts[part], OURS) for part in ("all", "the others"))
    detectors = [f"anomaly, {budget:g} a day" for budget in BUDGETS]
    for name in NAIVE:
        detectors += dict.fromkeys([f"{name}, {SIGMAS[0]:g}", _as_many(series, told, name, total.recall)])
    rows = [[one, part, *told.sum(some, one).cells] for one in detectors for part, some in parts.items()]
    rows += [["chance", part, *told.sum(some, OURS, by_chance).cells] for part, some in parts.items()]
    cpu_us = 1e6 * told.cpu_s / max(1, told.buckets)
    days = sum(len(one.levels) for one in series) / DAY
    return Section(
        title="Numenta series",
        how=HOW.format(series=len(series), windows=total.windows, days=days, made_up=MADE_UP, judged_days=JUDGED_DAYS),
        figures=[
            *_figures("", total),
            *_figures(", the others", others),
            Figure(name="cpu of the detector", value=cpu_us, unit="us per bucket"),
        ],
        tables=[
            Table(title="Detectors", headings=HEADINGS, rows=rows),
            Table(title="False alerts a day where nothing happens", headings=("stated", *map(str, BUDGETS)), rows=calm),
        ],
    )


def _figures(which: str, one: Counted) -> list[Figure]:
    return [
        Figure(name=f"precision{which}", value=100 * one.precision, unit="%", target=45, at_least=True),
        Figure(name=f"recall{which}", value=100 * one.recall, unit="%", target=60, at_least=True),
        Figure(name=f"false alerts{which}", value=one.false_per_day, unit="per series-day", target=0.08),
    ]


def _as_many(series: Sequence[Labelled], told: Told, name: str, recall: float) -> str:
    """The naive detector with the highest limit that finds so many windows; with the lowest, if none does."""
    enough = [one for one in SIGMAS if told.sum(series, f"{name}, {one:g}").recall >= recall]
    return f"{name}, {max(enough, default=SIGMAS[0]):g}"
