"""Processor time of one evaluation: many rules on many series, some thousand alerts of which stand."""

import time
from statistics import median
from typing import Any

from rich.progress import Progress

from benchmarks.figures import Figure, Section, Table
from benchmarks.options import Options
from engine.evaluator import Evaluator, EvaluatorConfig
from engine.parts import VersionedRule
from schemas.rollup_wire import Mark, Row, Rows
from schemas.rule_base import WINDOW_MS
from schemas.rules import ThresholdRule

RULES, SERIES, RAISING = 1_000, 1_000, 10
START_MS = 1_800_000_000_000
HIGH = 100.0
ZERO = "0" * 16

HOW = """{rules:,} threshold rules look at the same {series:,} series each, which is {pairs:,} entities at each grid
point, ten seconds apart. {raising} of the rules are breached by every series: {alerts:,} alerts stand. Measured is the
processor time of `engine/evaluator.py:Evaluator.evaluate` for one grid point, the median of {rounds}, while nothing
changes; and of the one at which all those alerts are raised. A worker keeps up where it is less than ten seconds."""


def run(options: Options, progress: Progress) -> Section:
    """Measures grid points."""
    task = progress.add_task("evaluate: grid points", total=options.rounds + 1)
    rules = [
        ThresholdRule(id=f"r{n}", metric="m", warning=HIGH / 2 if n < RAISING else 2 * HIGH, max_alerts=SERIES)
        for n in range(RULES)
    ]
    evaluator = Evaluator(EvaluatorConfig(inputs=frozenset({("in", 0)})))
    evaluator.apply_rules({rule.id: VersionedRule(1, rule) for rule in rules})
    used_s = []
    for number in range(options.rounds + 1):
        evaluator.add_rows(_rows(START_MS + number * WINDOW_MS))
        evaluator.add_mark(Mark("in", "e", 0, START_MS + (number + 1) * WINDOW_MS, number + 1))
        began_s = time.process_time()
        evaluator.evaluate()
        used_s.append(time.process_time() - began_s)
        progress.update(task, advance=1)
    first_s, later_s = used_s[0], median(used_s[1:])
    alerts = len(evaluator.firing)
    how = {"rules": RULES, "series": SERIES, "pairs": RULES * SERIES, "raising": RAISING, "rounds": options.rounds}
    return Section(
        title="Evaluation",
        how=HOW.format(alerts=alerts, **how),
        figures=[
            Figure(name="one grid point, a million entities", value=later_s, unit="CPU s", target=10, strict=True)
        ],
        tables=[
            Table(
                title="Processor seconds of one grid point",
                headings=("", "CPU s"),
                rows=[["all alerts are raised", f"{first_s:.2f}"], ["they stand", f"{later_s:.2f}"]],
            )
        ],
    )


def _rows(start_ms: int) -> Rows:
    values: tuple[Any, ...] = (1, HIGH, HIGH, HIGH, HIGH, start_ms, HIGH, start_ms, 0.0, ZERO, ZERO, 0, {10: 1}, {})
    rows = [Row(f"{n:016x}", f"host-{n}", {}, "gauge", start_ms, 1, *values) for n in range(SERIES)]
    return Rows("10s.v1", WINDOW_MS, "m", "in", "e", 0, 0, rows)
