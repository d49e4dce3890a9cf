"""Evaluates rules on a grid of event time, as the watermark passes it. A function of rows, marks and rules alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.alert_states import AlertStates
from engine.alerts import anticipated, new_alert
from engine.amend import LateData
from engine.early import Touched, anticipates, is_worst, only_grows, said
from engine.held import Entity, Held
from engine.memory import remembers
from engine.part_ids import part_id
from engine.parts import VersionedRule, parts_of, read_parts
from engine.readings import Readings
from engine.rules import Reading, entity_of, metrics_of, read, selects
from engine.transitions import Moment
from engine.watermarks import Complete, Input, Watermarks
from schemas.alerts import AlertState, MemoryChunk, Outcome, Transition
from schemas.dimensions import canonical
from schemas.rollup_wire import Mark, Rows
from schemas.rule_base import WINDOW_MS
from schemas.rules import OfMetric, ThresholdRule


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorConfig:
    """What evaluating is a function of, beside its input.

    Attributes:
        inputs: Input partitions that report watermarks.
        window_ms: Length of the windows, and distance of the grid. Rules look back over whole ones.
        laggard_ms: One that is further behind the foremost is left out.
        max_catchup_ms: Grid points that were missed for longer are not evaluated any more.
        amend_ms: For how long late rows are held against what was decided.
    """

    inputs: frozenset[Input]
    window_ms: int = WINDOW_MS
    laggard_ms: int = 20_000
    max_catchup_ms: int = 3_600_000
    amend_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One grid point.

    Attributes:
        states: Alerts of which something changed, with the transitions that this made in `unsent`.
        transitions: What is to be told now.
        memory: What rules that look far back remember from now on.
    """

    at_ms: int
    partial: bool
    states: list[AlertState] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    memory: list[MemoryChunk] = field(default_factory=list)


class Looking(NamedTuple):
    """A rule that looks at a metric, and its version."""

    version: int
    rule: OfMetric


class Evaluator:
    """Holds rows and alert states, and evaluates the rules that it is given."""

    def __init__(self, config: EvaluatorConfig) -> None:
        self._config = config
        self._watermarks = Watermarks(config.inputs, laggard_ms=config.laggard_ms)
        self._held = Held(config.window_ms)
        self._readings = Readings(self._held, config.window_ms)
        self._touched = Touched()
        self._late = LateData(config.amend_ms)
        self._rules: dict[str, VersionedRule] = {}
        self._parts: dict[str, list[VersionedRule]] = {}
        """Of each rule over rules, what it looks at."""

        self._looking: dict[str, list[Looking]] = {}
        """By metric the rules that look at it themselves, also as parts of others."""

        self._spans_ms: list[int] = []
        self._withdrawn: list[tuple[VersionedRule, str]] = []
        self._alerts = AlertStates()
        self._evaluated_ms: int | None = None

    def apply_rules(self, rules: Mapping[str, VersionedRule]) -> None:
        """The rules from now on. Alerts of one that is gone or disabled end at the next grid point."""
        before = self._by_id
        self._rules = {id_: versioned for id_, versioned in rules.items() if versioned.rule.enabled}
        self._parts = {id_: list(parts_of(versioned)) for id_, versioned in self._rules.items()}
        present = self._by_id
        for id_, versioned in before.items():
            if id_ not in present:
                self._withdrawn.append((versioned, "was disabled" if id_ in rules else "was removed"))
        looking = [Looking(one.version, rule) for one in present.values() if isinstance(rule := one.rule, OfMetric)]
        self._looking = {}
        for one in looking:
            for metric in set(metrics_of(one.rule)):
                self._looking.setdefault(metric, []).append(one)
        self._spans_ms = [self._readings.span_ms(one.rule) for one in looking]
        self._readings.memory.apply_rules(one.rule for one in looking if remembers(one.rule))
        self._held.keep_only(set(self._looking))

    @property
    def _by_id(self) -> dict[str, VersionedRule]:
        return self._rules | {one.rule.id: one for parts in self._parts.values() for one in parts}

    def restore(self, states: Iterable[AlertState], evaluated_ms: int | None) -> None:
        """What an earlier evaluator knew. Grid points after `evaluated_ms` are evaluated again.

        States of rules that are not applied here stay as they are.
        """
        self._alerts.restore(states)
        if evaluated_ms is not None:
            known = self._evaluated_ms
            self._evaluated_ms = evaluated_ms if known is None else min(known, evaluated_ms)

    def restore_memory(self, chunks: Iterable[MemoryChunk]) -> None:
        """What rules that look far back remembered, of the rules that are applied."""
        self._readings.memory.restore(chunks)

    def add_rows(self, rows: Rows) -> None:
        """Rows of one metric; ignored where no rule looks at it."""
        if not self.reads(rows.metric):
            return
        looking = self._looking[rows.metric]
        late = [
            place
            for one in looking
            for place in self._late.places(rows, one.rule, one.version, self._readings.span_ms(one.rule))
        ]
        before = [self._readings.of(one.rule, one.moment.at_ms, one.entities) for one in late]
        self._held.add(rows, self.needed_from_ms - self._config.amend_ms)
        self._touched.note(rows, (one.rule for one in looking))
        for one, known in zip(late, before, strict=True):
            after = self._readings.of(one.rule, one.moment.at_ms, one.entities)
            self._late.compare(one, known, after, self._alerts.of(one.rule.id))

    def take_amendments(self) -> list[Transition]:
        """What late rows would have changed, see `engine.amend`; each once."""
        return self._late.take()

    def reads(self, metric: str) -> bool:
        """Whether a rule looks at a metric."""
        return metric in self._looking

    def add_mark(self, mark: Mark) -> None:
        """The watermark of one input partition."""
        self._watermarks.report(mark.topic, mark.partition, mark.watermark_ms)

    @property
    def evaluated_ms(self) -> int | None:
        """The last grid point that was evaluated."""
        return self._evaluated_ms

    @property
    def needed_from_ms(self) -> int:
        """Rows of windows that start before it are not needed again."""
        if self._evaluated_ms is None:
            return 0
        window_ms = self._config.window_ms
        return self._evaluated_ms + window_ms - max(self._spans_ms, default=window_ms)

    @property
    def firing(self) -> list[AlertState]:
        """Alerts that are raised."""
        return self._alerts.raised(self._rules)

    def due_ms(self) -> int | None:
        """The next grid point that `evaluate` decides; None while the watermark has not passed it."""
        complete = self._watermarks.complete()
        return next(iter(self._grid(complete)), None) if complete is not None else None

    def evaluate(self, *, at_most: int | None = None) -> list[Evaluation]:
        """Every grid point that the watermark has passed since the last call, in order; the first ones of them."""
        complete, known_ms = self._watermarks.complete(), self._evaluated_ms
        if complete is None:
            return []
        evaluations: list[Evaluation] = []
        for at_ms in self._grid(complete)[:at_most]:
            unseen = not evaluations and (known_ms is None or at_ms > known_ms + self._config.window_ms)
            evaluations.append(self._at(at_ms, complete, unseen=unseen))
        if evaluations:
            self._held.forget(self.needed_from_ms - self._config.amend_ms)
        return evaluations

    def anticipate(self) -> Evaluation | None:
        """What can be said of the next grid point already, see `engine.early`; None: nothing. To be called when
        `evaluate` has nothing more.
        """
        if self._evaluated_ms is None:
            return None
        window_ms = self._config.window_ms
        found = Evaluation(self._evaluated_ms + window_ms, partial=False)
        touched = self._touched.take(found.at_ms)
        for versioned in self._rules.values():
            rule = versioned.rule
            if anticipates(rule) and (names := touched.get(rule.metric)):
                moment = Moment(found.at_ms, versioned.version, window_ms=window_ms)
                labels = self._held.labels(rule.metric, names)
                entities = {canonical(entity_of(rule, one)) for one in labels if selects(rule.where, one)}
                self._anticipate_rule(rule, entities, moment, found)
        return found if found.states else None

    def _anticipate_rule(
        self, rule: ThresholdRule, entities: Iterable[Entity], moment: Moment, found: Evaluation
    ) -> None:
        known = self._alerts.of(rule.id)
        open_ended = [entity for entity in entities if entity not in known or not is_worst(rule, known[entity])]
        if not open_ended:
            return
        groups = self._readings.groups(rule, rule.metric, rule.where)
        if len(groups.keys() | known.keys()) > rule.max_alerts:
            # Which of them may open is known at the grid point only.
            return
        for entity in sorted(open_ended):
            series = self._readings.combined(rule, groups[entity], moment.at_ms)
            before = known.get(entity) or new_alert(rule, dict(entity), moment.version)
            reading = read(rule, series)
            after = anticipated(before, reading, rule, moment) if only_grows(rule, series) else None
            if after is not None and reading.outcome is Outcome.VALUE:
                known[entity] = after
                found.states.append(after)
                found.transitions.extend(after.unsent[len(said(before)) :])

    def _grid(self, complete: Complete) -> range:
        """What there is to evaluate: nothing that is older than the catch-up allows."""
        window_ms, before_ms = self._config.window_ms, self._evaluated_ms
        reached_ms = complete.at_ms - complete.at_ms % window_ms
        if before_ms is None:
            before_ms = reached_ms - window_ms
        return range(max(before_ms, reached_ms - self._config.max_catchup_ms) + window_ms, reached_ms + 1, window_ms)

    def _at(self, at_ms: int, complete: Complete, *, unseen: bool) -> Evaluation:
        changed: list[AlertState] = []
        memory: list[MemoryChunk] = []
        for versioned, why in self._withdrawn:
            self._late.forget(versioned.rule.id)
            moment = Moment(at_ms, versioned.version, window_ms=self._config.window_ms)
            changed += self._alerts.withdraw(versioned, why, moment)
        self._withdrawn = []
        for versioned in self._rules.values():
            parts = self._parts[versioned.rule.id]
            for one in (*parts, versioned):
                every_ms = max(one.rule.every_ms, self._config.window_ms)
                if at_ms % every_ms < self._config.window_ms:
                    moment = Moment(at_ms, one.version, complete.partial, unseen, every_ms)
                    memory += self._readings.remember(one.rule, at_ms) if isinstance(one.rule, OfMetric) else []
                    changed += self._alerts.evaluate(one, self._read(one, parts, moment), moment)
        self._evaluated_ms = at_ms
        return Evaluation(at_ms, complete.partial, changed, [one for state in changed for one in state.unsent], memory)

    def _read(self, versioned: VersionedRule, parts: list[VersionedRule], moment: Moment) -> dict[Entity, Reading]:
        rule = versioned.rule
        if isinstance(rule, OfMetric):
            if versioned.remember_ms is None:
                self._late.note(rule.id, moment)
            return self._readings.of(rule, moment.at_ms, known=self._alerts.of(rule.id))
        ids = {one.rule.id.removeprefix(part_id(rule.id, "")): one.rule.id for one in parts}
        of_part = {name: self._alerts.of(id_) for name, id_ in ids.items()}
        return read_parts(rule, of_part, self._alerts.of(rule.id))
