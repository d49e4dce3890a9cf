"""Tests of rules: files of the shape that `promtool test rules` reads, run in virtual time."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from engine.trial import Given, play
from operations.rules_file import load_rules
from operations.yaml_file import Form, Place, parse, read
from schemas.alerts import Severity, State, Transition
from schemas.durations import Duration
from schemas.records import Wire
from schemas.rule_base import WINDOW_MS
from schemas.rules import AbsenceRule, Rule, RuleOfRules

MAX_SAMPLES = 200_000
MAX_HOURS = 24 * 14
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_VALUE = re.compile(rf"(?P<first>[+-]?{_NUMBER})(?P<step>[+-]{_NUMBER})?(?:x(?P<times>\d{{1,6}}))?")
_MISSING = re.compile(r"(?:_|stale)(?:x(\d{1,6}))?")
_SERIES = re.compile(r"(?P<metric>[A-Za-z_][\w.]*)\s*(?:\{(?P<labels>.*)\})?")
_LABEL = re.compile(r'\s*([A-Za-z_][\w.]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_RAISED = (State.FIRING, State.RECOVERING)


class _Part(Wire):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class InputSeries(_Part):
    """A series and its values, the first one at time zero."""

    series: Annotated[str, Field(max_length=4096)]
    values: Annotated[str, Field(max_length=65_536)]
    kind: Literal["gauge", "delta", "cumulative"] = "gauge"


class ExpectedAlert(_Part):
    """One alert that stands."""

    exp_labels: dict[str, str] = Field(default_factory=dict)
    exp_annotations: dict[str, str] = Field(default_factory=dict)


class AlertTest(_Part):
    """Which alerts of a rule stand at a time: none, where none are named."""

    eval_time: Duration
    alertname: str
    exp_alerts: list[ExpectedAlert] = Field(default_factory=list)


class Case(_Part):
    """One test."""

    name: str = ""
    interval: Duration = WINDOW_MS
    input_series: list[InputSeries]
    alert_rule_test: list[AlertTest]


class RuleTests(_Part):
    """A file of tests."""

    rule_files: Annotated[list[str], Field(min_length=1)]
    evaluation_interval: Duration = WINDOW_MS
    tests: Annotated[list[Case], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a test. Without faults it passed."""

    name: str
    faults: Sequence[str]


@dataclass(slots=True)
class Results:
    """What became of all of them.

    Attributes:
        reached: By rule, the states that its alerts came to, a raised one with its severity.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    reached: dict[str, set[str]] = field(default_factory=dict)
    rules: Sequence[Rule] = ()


def run(path: Path) -> Results:
    """Runs the tests of a file.

    Raises:
        BadSettings: It, or one of its rule files, cannot be used.
    """
    tests = parse(read(path, "tests of rules"), str(path), RuleTests, _unfit, Form(page="docs/rules.md"))
    rules = [rule for name in tests.rule_files for rule in load_rules(path.parent / name).rules]
    results = Results(reached={rule.id: set() for rule in rules}, rules=rules)
    for number, case in enumerate(tests.tests, 1):
        results.verdicts.append(Verdict(case.name or f"test {number}", list(_faults(case, rules, results.reached))))
    return results


def _faults(case: Case, rules: Sequence[Rule], reached: Mapping[str, set[str]]) -> Iterator[str]:
    known = {rule.id for rule in rules}
    asked: defaultdict[int, list[AlertTest]] = defaultdict(list)
    for one in case.alert_rule_test:
        asked[one.eval_time].append(one)
        if one.alertname not in known:
            yield f"there is no rule {one.alertname}; there are {', '.join(sorted(known))}"
    standing: dict[str, Transition] = {}
    for at_ms, transitions in play(rules, _given(case), until_ms=max(asked, default=0)):
        for transition in transitions:
            standing[transition.alert] = transition
            reached[transition.rule].add(_reached(transition))
        for one in asked.get(at_ms, ()):
            yield from _compared(one, standing.values())


def _reached(transition: Transition) -> str:
    to_state = transition.to_state
    return f"{to_state}:{transition.severity}" if to_state is State.FIRING else str(to_state)


def _compared(test: AlertTest, standing: Iterable[Transition]) -> Iterator[str]:
    stand = [one for one in standing if one.rule == test.alertname and one.to_state in (*_RAISED, State.STALE)]
    found = {_labels({**one.entity, "severity": str(one.severity)}): one for one in stand}
    wanted = {_labels(one.exp_labels): one for one in test.exp_alerts}
    where = f"at {test.eval_time / 1000:g}s: {test.alertname}"
    for labels in wanted.keys() - found.keys():
        others = f"; those that do: {', '.join(sorted(found))}" if found else "; none does"
        yield f"{where}: {labels} does not stand{others}"
    for labels in found.keys() - wanted.keys():
        yield f"{where}: {labels} stands: {found[labels].summary}"
    for labels in wanted.keys() & found.keys():
        summary = wanted[labels].exp_annotations.get("summary")
        if summary not in (None, found[labels].summary):
            yield f"{where}: {labels} says {found[labels].summary!r}, not {summary!r}"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def _given(case: Case) -> Iterator[Given]:
    for one in case.input_series:
        metric, labels = series(one.series)
        source = labels.pop("source", "test")
        for number, value in enumerate(values(one.values)):
            if value is not None:
                yield Given(number * case.interval, source, metric, one.kind, labels, value)


def series(text: str) -> tuple[str, dict[str, str]]:
    """`name{label="value", ...}` as its two parts. Raises ValueError."""
    match = _SERIES.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'{text!r} is no series: write app.queue.depth{{source="web-1", queue="a"}}')
    labels, rest = {}, match["labels"] or ""
    while rest.strip():
        label = _LABEL.match(rest)
        if label is None:
            raise ValueError(f'{text!r}: {rest.strip()!r} is no label: write name="value"')
        labels[label[1]] = re.sub(r"\\(.)", r"\1", label[2])
        rest = rest[label.end() :]
    return match["metric"], labels


def values(text: str) -> list[float | None]:
    """Values as promtool writes them: `1 2 3`, `0+10x5`, `5x3`, `_`, `_x4`, `stale`; None: none. Raises ValueError."""
    found: list[float | None] = []
    for part in text.split():
        missing, value = _MISSING.fullmatch(part), _VALUE.fullmatch(part)
        if missing is not None:
            found += [None] * int(missing[1] or 1)
        elif value is not None:
            first, step, times = float(value["first"]), float(value["step"] or 0), int(value["times"] or 0)
            found += [first + number * step for number in range(times + 1)]
        else:
            raise ValueError(f"{part!r} is no value: write 1 2 3, 0+10x5, 5x3, _ or _x4")
        if len(found) > MAX_SAMPLES:
            raise ValueError(f"more than {MAX_SAMPLES} values")
    return found


def _unfit(tests: RuleTests) -> Iterator[tuple[Place, str]]:
    if tests.evaluation_interval != WINDOW_MS:
        yield ("evaluation_interval",), f"evaluation_interval: rules are evaluated every {WINDOW_MS // 1000}s"
    for number, case in enumerate(tests.tests):
        place: Place = ("tests", number)
        if not 0 < case.interval <= 86_400_000:
            yield (*place, "interval"), f"tests.{number}.interval: give 1ms to 1d"
        for index, one in enumerate(case.input_series):
            for name, check, text in (("series", series, one.series), ("values", values, one.values)):
                try:
                    check(text)
                except ValueError as error:
                    yield (*place, "input_series", index, name), f"tests.{number}.input_series.{index}: {error}"
        for index, test in enumerate(case.alert_rule_test):
            if test.eval_time % WINDOW_MS or not 0 < test.eval_time <= MAX_HOURS * 3_600_000:
                told = f"eval_time must be a multiple of {WINDOW_MS // 1000}s, at most {MAX_HOURS}h"
                yield (*place, "alert_rule_test", index, "eval_time"), f"tests.{number}: {told}"


def missed(rule: Rule, reached: set[str]) -> list[str]:
    """States that alerts of a rule can come to, and did not."""
    if isinstance(rule, AbsenceRule):
        can = [f"{State.FIRING}:{rule.severity}", State.RECOVERING, State.OK]
    elif isinstance(rule, RuleOfRules):
        can = [State.FIRING, State.RECOVERING, State.OK]
    else:
        limits = ((Severity.WARNING, rule.warning), (Severity.CRITICAL, rule.critical))
        firing = [f"{State.FIRING}:{severity}" for severity, limit in limits if limit is not None]
        can = [State.PENDING, *firing, State.RECOVERING, State.OK, State.STALE]
    return [str(state) for state in can if state not in reached]
