"""Timelines for tests of alerts: one value a window, and the states that they lead to."""

from collections.abc import Mapping, Sequence

from engine.evaluator import Evaluation, Evaluator, EvaluatorConfig
from engine.parts import VersionedRule
from schemas.alerts import State, Transition
from schemas.rollup_wire import Mark, Row, Rows
from schemas.rules import Rule

T = 1_000_000
CONFIG = EvaluatorConfig(inputs=frozenset({("in", 0)}))
Values = Sequence[float | None]


def rows(value: float, start_ms: int, *, ver: int = 1, host: str = "web") -> Rows:
    """One row of metric `m`."""
    zeros = "0" * 16
    row = Row(
        f"{len(host):016x}", host, {"zone": "a"}, "gauge", start_ms, ver, 1, value, value, value, value, start_ms,
        value, start_ms, 0.0, zeros, zeros, 0, {10: 1}, {},
    )  # fmt: skip
    return Rows("10s.v1", 10_000, "m", "in", "e", 0, 0, [row])


def mark(at_ms: int, partition: int = 0) -> Mark:
    """A watermark."""
    return Mark("in", "e", partition, at_ms, 1)


def of_rule(rule: Rule, version: int = 1) -> Evaluator:
    """An evaluator of one rule."""
    evaluator = Evaluator(CONFIG)
    evaluator.apply_rules({rule.id: VersionedRule(version, rule)})
    return evaluator


def play(rule: Rule, values: Values, *, evaluator: Evaluator | None = None, first: int = 0) -> list[Evaluation]:
    """One value for each window of host `web`; None: no data."""
    return play_hosts(rule, {"web": values}, evaluator=evaluator, first=first)


def play_hosts(
    rule: Rule, hosts: Mapping[str, Values], *, evaluator: Evaluator | None = None, first: int = 0
) -> list[Evaluation]:
    """The same for several hosts, whose names differ in length."""
    one = evaluator or of_rule(rule)
    found: list[Evaluation] = []
    for index in range(max(map(len, hosts.values()))):
        start_ms = T + (first + index) * 10_000
        for host, values in hosts.items():
            value = values[index] if index < len(values) else None
            if value is not None:
                one.add_rows(rows(value, start_ms, ver=first + index + 1, host=host))
        one.add_mark(mark(start_ms + 10_000))
        found += one.evaluate()
    return found


def transitions(evaluations: Sequence[Evaluation]) -> list[Transition]:
    """All of them, in order."""
    return [one for evaluation in evaluations for state in evaluation.states for one in state.unsent]


def line(told: Sequence[Transition]) -> str:
    """The states entered, in one line; `~` marks those that flap."""
    return " ".join(
        one.to_state + (f":{one.severity}" if one.to_state is State.FIRING else "") + "~" * one.flapping for one in told
    )


def told(rule: Rule, values: Values) -> str:
    """What a timeline of one host leads to."""
    return line(transitions(play(rule, values)))
