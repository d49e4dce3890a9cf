"""Evaluates rules on a grid of event time, as the watermark passes it. A function of rows, marks and rules alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.alerts import anticipated, kept_closed, left_out, new_alert, step, withdrawn
from engine.amend import LateData
from engine.durable import differs, is_expected, is_open, worth_keeping
from engine.early import Touched, anticipates, as_said, is_worst, only_grows, said
from engine.held import Entity, Held
from engine.readings import Readings
from engine.rules import Reading, entity_of, metrics_of, read, selects
from engine.transitions import Moment
from engine.verdicts import breaches
from engine.watermarks import Complete, Input, Watermarks
from schemas.alerts import AlertState, MemoryChunk, Outcome, State, Transition
from schemas.dimensions import canonical
from schemas.rollup_wire import Mark, Rows
from schemas.rules import WINDOW_MS, ChangeRule, Rule, ThresholdRule

_NO_DATA = Reading(Outcome.NO_DATA)

OF_RULE: Entity = ()
"""Where a rule groups by something: the alert of the rule itself, which tells of those that are left out."""


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
class VersionedRule:
    """A rule and its version."""

    version: int
    rule: Rule


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
        self._withdrawn: list[tuple[VersionedRule, str]] = []
        self._states: dict[str, dict[Entity, AlertState]] = {}
        self._evaluated_ms: int | None = None

    def apply_rules(self, rules: Mapping[str, VersionedRule]) -> None:
        """The rules from now on. Alerts of one that is gone or disabled end at the next grid point."""
        enabled = {id_: versioned for id_, versioned in rules.items() if versioned.rule.enabled}
        for id_, before in self._rules.items():
            if id_ not in enabled:
                self._withdrawn.append((before, "was disabled" if id_ in rules else "was removed"))
        self._rules = enabled
        every = (versioned.rule for versioned in enabled.values())
        self._readings.memory.apply_rules(one for one in every if isinstance(one, ChangeRule) and one.remembers)
        self._held.keep_only({metric for versioned in enabled.values() for metric in metrics_of(versioned.rule)})

    def restore(self, states: Iterable[AlertState], evaluated_ms: int | None) -> None:
        """What an earlier evaluator knew. Grid points after `evaluated_ms` are evaluated again.

        States of rules that are not applied here stay as they are.
        """
        for state in states:
            self._states.setdefault(state.rule, {})[canonical(state.entity)] = state
        if evaluated_ms is not None:
            known = self._evaluated_ms
            self._evaluated_ms = evaluated_ms if known is None else min(known, evaluated_ms)

    def restore_memory(self, chunks: Iterable[MemoryChunk]) -> None:
        """What rules that look far back remembered, of the rules that are applied."""
        self._readings.memory.restore(chunks)

    def forget(self, rule: str) -> None:
        """Drops a rule and its alerts: another evaluator owns them now."""
        self._rules.pop(rule, None)
        self._states.pop(rule, None)
        self._late.forget(rule)

    def add_rows(self, rows: Rows) -> None:
        """Rows of one metric; ignored where no rule looks at it."""
        if not self.reads(rows.metric):
            return
        looking = [one for one in self._rules.values() if rows.metric in metrics_of(one.rule)]
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
            self._late.compare(one, known, after, self._states.get(one.rule.id, {}))

    def take_amendments(self) -> list[Transition]:
        """What late rows would have changed, see `engine.amend`; each once."""
        return self._late.take()

    def reads(self, metric: str) -> bool:
        """Whether a rule looks at a metric."""
        return any(metric in metrics_of(versioned.rule) for versioned in self._rules.values())

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
        spans = [self._readings.span_ms(versioned.rule) for versioned in self._rules.values()]
        return self._evaluated_ms + window_ms - max(spans, default=window_ms)

    @property
    def firing(self) -> list[AlertState]:
        """Alerts that are raised."""
        raised = (State.FIRING, State.RECOVERING)
        known = [as_said(state) for of_rule in self._states.values() for state in of_rule.values()]
        return [one for one in known if (one.resume if one.state is State.STALE else one.state) in raised]

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
            rule, names = versioned.rule, touched.get(versioned.rule.metric)
            if names and anticipates(rule):
                moment = Moment(found.at_ms, versioned.version, window_ms=window_ms)
                labels = self._held.labels(rule.metric, names)
                entities = {canonical(entity_of(rule, one)) for one in labels if selects(rule.where, one)}
                self._anticipate_rule(rule, entities, moment, found)
        return found if found.states else None

    def _anticipate_rule(
        self, rule: ThresholdRule, entities: Iterable[Entity], moment: Moment, found: Evaluation
    ) -> None:
        known = self._states.setdefault(rule.id, {})
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
            changed += self._withdraw(versioned, why, at_ms)
        self._withdrawn = []
        for versioned in self._rules.values():
            every_ms = max(versioned.rule.every_ms, self._config.window_ms)
            if at_ms % every_ms < self._config.window_ms:
                moment = Moment(at_ms, versioned.version, complete.partial, unseen, every_ms)
                changed += self._evaluate_rule(versioned, moment)
                memory += self._readings.remember(versioned.rule, at_ms)
        self._evaluated_ms = at_ms
        return Evaluation(at_ms, complete.partial, changed, [one for state in changed for one in state.unsent], memory)

    def _withdraw(self, versioned: VersionedRule, why: str, at_ms: int) -> list[AlertState]:
        rule = versioned.rule
        of_rule = self._states.pop(rule.id, {})
        self._late.forget(rule.id)
        moment = Moment(at_ms, versioned.version, window_ms=self._config.window_ms)
        ended = [withdrawn(state, rule, moment, f"rule {rule.id} {why}") for state in of_rule.values()]
        return [state for state in ended if state.unsent]

    def _evaluate_rule(self, versioned: VersionedRule, moment: Moment) -> list[AlertState]:
        rule = versioned.rule
        self._late.note(rule.id, moment)
        readings = self._readings.of(rule, moment.at_ms)
        known = self._states.setdefault(rule.id, {})
        entities = readings.keys() | known.keys()
        if rule.group_by:
            entities -= {OF_RULE}
        room = rule.max_alerts - sum(is_open(as_said(known[entity])) for entity in known.keys() & entities)
        changed: list[AlertState] = []
        beyond: list[AlertState] = []
        knows_all = is_expected(rule)
        for entity in sorted(entities):
            reading = readings.get(entity, _NO_DATA)
            if entity not in known and not knows_all and not breaches(rule, reading, moment):
                # Most entities most of the time: nothing is known of them, and nothing is to be.
                continue
            before = known.get(entity) or new_alert(rule, dict(entity), versioned.version)
            if moment.at_ms <= before.evaluated_ms:
                continue
            after = step(before, reading, rule, moment)
            opened = is_open(after) - is_open(as_said(before))
            if opened > max(room, 0):
                beyond.append(after)
                after, opened = kept_closed(before, after), 0
            room -= opened
            changed += self._keep(versioned, entity, before, after, moment)
        if rule.group_by and (beyond or OF_RULE in known):
            before = known.get(OF_RULE) or new_alert(rule, {}, versioned.version)
            if moment.at_ms > before.evaluated_ms:
                changed += self._keep(versioned, OF_RULE, before, left_out(before, beyond, rule, moment), moment)
        return changed

    def _keep(
        self, versioned: VersionedRule, entity: Entity, before: AlertState, after: AlertState, moment: Moment
    ) -> list[AlertState]:
        """Knows the alert from now on, if anything must be known of it. Returns it if a restart must know of it."""
        rule = versioned.rule
        known = self._states[rule.id]
        is_new = entity not in known and is_expected(rule)
        if worth_keeping(rule, after, moment.window_ms):
            known[entity] = after
        else:
            known.pop(entity, None)
        return [after] if is_new or differs(before, after) else []
