"""Decides along a replay what the evaluator decides along the log: rules of their time, on the same grid."""

from collections.abc import Iterable

from engine.evaluator import Evaluator, EvaluatorConfig
from engine.history import Timeline
from schemas.alerts import AlertState, Transition
from schemas.columns import Columns
from schemas.rollup_wire import Mark, Rows, rows_of_all


class Backtest:
    """Evaluates the rules of a timeline.

    Args:
        states: How alerts stood at `start_ms`. Those of rules that were not in force then are left out.
        start_ms: The grid point before the first one that is evaluated.
        born: The logs begin after it. The first one that is evaluated is the newest of when they had all begun, as
            it was for the evaluator.
    """

    def __init__(
        self, config: EvaluatorConfig, rules: Timeline, states: Iterable[AlertState], *, start_ms: int, born: bool
    ) -> None:
        self._rules = rules
        self._evaluator = Evaluator(config)
        known = rules.at(start_ms)
        self._evaluator.apply_rules(known)
        in_force = {id_ for id_, one in known.items() if one.version}
        self._evaluator.restore([one for one in states if one.rule in in_force], None if born else start_ms)

    def add(self, messages: Iterable[Columns | Rows]) -> None:
        """Rows that a fold published."""
        wanted = [message for message in messages if self._evaluator.reads(message.metric)]
        read = iter(rows_of_all([one for one in wanted if isinstance(one, Columns)]))
        for message in wanted:
            self._evaluator.add_rows(message if isinstance(message, Rows) else next(read))

    def decide(self, marks: Iterable[Mark]) -> list[Transition]:
        """How far the partitions are complete now; what follows."""
        for mark in marks:
            self._evaluator.add_mark(mark)
        decided: list[Transition] = []
        # Point by point: rules may have changed at any of them.
        while (at_ms := self._evaluator.due_ms()) is not None:
            self._evaluator.apply_rules(self._rules.at(at_ms))
            evaluations = self._evaluator.evaluate(at_most=1)
            decided += [one for found in evaluations for state in found.states for one in state.unsent]
        return decided

    @property
    def evaluated_ms(self) -> int:
        """The last grid point that was evaluated, or the one before the first."""
        return self._evaluator.evaluated_ms or 0
