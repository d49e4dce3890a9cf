"""Replays a stretch of the past: the production fold and evaluator over the log as it was, into side tables."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from heapq import merge
from itertools import groupby
from typing import Literal, NamedTuple, Protocol

from connect.clickhouse import Store
from connect.config import KafkaConfig
from connect.log import Log
from connect.topic_ids import topic_epochs
from engine.backtest import Backtest
from engine.evaluator import EvaluatorConfig
from engine.fold_config import FoldConfig
from engine.history import Timeline, look_back_ms, of_file, states_at, timeline, warm_up_ms
from engine.replay import Begin, Piece, Stretch
from schemas.alerts import Transition
from schemas.errors import BadSettings
from schemas.rules import Rule
from schemas.topics import INPUTS
from sinks.clickhouse import compare, history
from sinks.clickhouse.compare import Transitions, Windows
from sinks.clickhouse.raw_log import raw_log, sketches
from sinks.clickhouse.side import Replay, Side
from watchkeeper.kafka_log import KafkaLog, reaches
from watchkeeper.words import moment

Source = Literal["auto", "kafka", "clickhouse"]
_Span = tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayConfig:
    """What is replayed, and how.

    Attributes:
        from_ms: Where the range begins, in the time of the log; rounded down to whole segments. `to_ms`: up.
        live: What the workers fold by.
        fold: What is folded by here.
        rules: A file's, for the whole range; None: those in force then.
        kafka: None: it is not asked.
        epoch: Incarnation of the topics; empty: each topic's own id is asked from Kafka.
        made_ms: The present.
    """

    name: str
    replace: bool
    from_ms: int
    to_ms: int
    live: FoldConfig
    fold: FoldConfig
    rules: Sequence[Rule] | None
    rules_from: str
    source: Source
    kafka: KafkaConfig | None
    epoch: str
    made_ms: int

    @property
    def span(self) -> tuple[int, int]:
        """The range in whole segments: these are of the log, and the same however it is folded."""
        size_ms = self.fold.segment_ms
        return self.from_ms // size_ms * size_ms, -(-self.to_ms // size_ms) * size_ms


class Outcome(NamedTuple):
    """What a replay made, and how it stands to the live tables.

    Attributes:
        log: Where the records were from.
        whole_to_ms: How far every partition was folded in whole segments, at most to the end of the range.
        decided_to_ms: The last evaluation time.
        left_out: Partitions whose beginning is not known.
    """

    log: str
    records: int
    whole_to_ms: int
    decided_to_ms: int
    windows: Windows
    transitions: Transitions
    left_out: Sequence[str]


class _Source(Protocol):
    name: str

    async def read(self, topic: str, partition: int) -> Piece | None: ...


class _Plan(NamedTuple):
    """Where everything begins.

    Attributes:
        start_ms: The grid point before the first that is evaluated.
        born: The logs begin after it.
        whole: They begin in the range.
    """

    start_ms: int
    born: bool
    whole: bool
    rules: Timeline
    found: Sequence[history.Incarnation]
    begins: Mapping[tuple[str, int], Begin]
    left_out: Sequence[str]


async def replay(config: ReplayConfig, store: Store, tell: Callable[[float], None]) -> Outcome:
    """Replays a range into the side tables of its name.

    Args:
        tell: Told how many milliseconds of the range are done, again and again.

    Raises:
        BadSettings: The range cannot be replayed; the name is taken.
        BrokerUnavailable: Kafka is away.
        StoreUnavailable: ClickHouse is away.
        StoreRefused: It does not take a statement.
    """
    known = history.known_span(store)
    config = _in_known_time(config, known)
    plan = _plan(config, store, known)
    async with _source(config, store, plan) as source:
        side = Side(store, config.name, replace=config.replace)
        run = _Run(config, plan, source, side, history.transitions_until(store, plan.start_ms))
        await run.go(tell)
    from_ms, to_ms = config.span
    fold = config.fold
    about = (config.made_ms, from_ms, to_ms, fold.window_ms, fold.lateness_ms, config.rules_from, source.name)
    side.done(Replay(config.name, *about))
    covered = {(one.topic, one.partition): one.covered() for one in run.stretches}
    return Outcome(
        log=source.name,
        records=sum(one.records for one in run.stretches),
        whole_to_ms=run.whole_to_ms,
        decided_to_ms=run.decided_to_ms,
        windows=compare.windows(store, side.rollups, config.fold, covered, config.span),
        transitions=compare.transitions(store, side.transitions, run.decided_from_ms, run.decided_to_ms),
        left_out=plan.left_out,
    )


def _in_known_time(config: ReplayConfig, known: _Span) -> ReplayConfig:
    """The part of the range in which something can have come: every window of a range is gone through."""
    if known is None:
        return config
    first_ms, last_ms = known
    from_ms, to_ms = max(config.from_ms, first_ms), min(config.to_ms, max(config.made_ms, last_ms))
    return replace(config, from_ms=from_ms, to_ms=to_ms) if from_ms < to_ms else config


def _plan(config: ReplayConfig, store: Store, known: _Span) -> _Plan:
    (from_ms, to_ms), window_ms = config.span, config.fold.window_ms
    if from_ms >= to_ms:
        raise BadSettings("--to must be later than --from")
    rules = timeline(*history.control_history(store), window_ms=config.live.window_ms)
    if config.rules is not None:
        rules = of_file(config.rules, rules.at(from_ms))
    all_rules = rules.rules(from_ms, to_ms)
    start_ms = max(0, (from_ms - warm_up_ms(all_rules, window_ms)) // window_ms * window_ms)
    begin_ms = max(0, start_ms - look_back_ms(all_rules, window_ms) - window_ms - config.fold.lateness_ms)
    found = history.incarnations(store, begin_ms, to_ms)
    begins, left_out = _begins(store, found, begin_ms, config.fold)
    if not begins:
        raise BadSettings(
            f"no input record is known that came from {moment(from_ms)} to {moment(to_ms)}:"
            " choose another --from or --to"
        )
    first_ms = known[0] if known is not None else start_ms + 1
    return _Plan(start_ms, first_ms > start_ms, first_ms >= from_ms, rules, found, begins, left_out)


def _begins(
    store: Store, found: Sequence[history.Incarnation], at_ms: int, fold: FoldConfig
) -> tuple[dict[tuple[str, int], Begin], list[str]]:
    """Where each partition begins, and those of which that is not known."""
    begins: dict[tuple[str, int], Begin] = {}
    unknown: dict[str, None] = {}
    for one in found:
        partition = (one.topic, one.partition)
        if partition not in begins:
            begin = history.begin_at(store, one, at_ms, horizon_segments=fold.horizon_segments)
            if begin is None:
                unknown[f"{one.topic}/{one.partition}"] = None
            else:
                begins[partition] = begin
    return begins, list(unknown)


@asynccontextmanager
async def _source(config: ReplayConfig, store: Store, plan: _Plan) -> AsyncIterator[_Source]:
    """The log in Kafka where it still has everything; else as ClickHouse tells it."""
    why = "Kafka was not asked"
    if config.kafka is not None and config.source != "clickhouse":
        names = [topic.name for topic in INPUTS]
        epochs = await topic_epochs(config.kafka, names, fixed=config.epoch)
        async with Log(config.kafka, names) as log:
            if all(one.epoch == epochs[one.topic] for one in plan.found) and reaches(log, plan.begins):
                yield KafkaLog(log, plan.begins)
                return
        why = "Kafka no longer has all its records"
        if config.source == "kafka":
            raise BadSettings(f"{why}: choose a later --from, or --source clickhouse")
    count = sketches(store, *config.span)
    if count:
        raise BadSettings(
            f"{why}, and raw rows in ClickHouse do not tell the {count} distributions of this range:"
            " choose a range that Kafka has"
        )
    yield raw_log(store, plan.found, plan.begins)


class _Run:
    """The partitions side by side, along the time of their logs."""

    def __init__(
        self, config: ReplayConfig, plan: _Plan, source: _Source, side: Side, before: Iterable[Transition]
    ) -> None:
        self._config = config
        self._plan = plan
        self._source = source
        self._side = side
        fold = config.fold
        self.stretches = [Stretch(fold, *partition, begin) for partition, begin in plan.begins.items()]
        # What stood then stood on windows of that length.
        same = fold.window_ms == config.live.window_ms
        states = states_at(before, plan.start_ms, window_ms=fold.window_ms) if same else []
        evaluator = EvaluatorConfig(inputs=frozenset(plan.begins), window_ms=fold.window_ms)
        self.backtest = Backtest(evaluator, plan.rules, states, start_ms=plan.start_ms, born=plan.born)

    async def go(self, tell: Callable[[float], None]) -> None:
        """Over the whole range, in steps of one window."""
        from_ms, _ = self._config.span
        await self._reach(0)
        for stretch in self.stretches:
            if stretch.clock_ms is not None and stretch.clock_ms >= from_ms:
                # The log begins in the range.
                stretch.cover(whole=True)
        for clock_ms in self._times():
            await self._reach(clock_ms)
            if clock_ms == from_ms:
                for stretch in self.stretches:
                    if not stretch.covering:
                        stretch.cover(whole=False)
            self._publish(clock_ms)
            tell(max(0, clock_ms - from_ms))
        self._side.flush()

    def _times(self) -> Iterator[int]:
        """When windows are complete, and the ends of the range."""
        (from_ms, to_ms), window_ms = self._config.span, self._config.fold.window_ms
        first_ms = self._plan.start_ms + window_ms + self._config.fold.lateness_ms
        for at_ms, _ in groupby(merge(range(first_ms, to_ms, window_ms), (from_ms, to_ms))):
            yield at_ms

    async def _reach(self, clock_ms: int) -> None:
        for stretch in self.stretches:
            while not stretch.ended and not stretch.step(clock_ms):
                piece = await self._source.read(stretch.topic, stretch.partition)
                if piece is None:
                    stretch.end()
                else:
                    stretch.take(piece)

    def _publish(self, clock_ms: int) -> None:
        self.backtest.add(message for stretch in self.stretches for message in stretch.rows())
        marks = [mark for stretch in self.stretches if (mark := stretch.mark()) is not None]
        decided = [one for one in self.backtest.decide(marks) if self.decided_from_ms < one.at_ms <= self.decided_to_ms]
        final = [message for stretch in self.stretches for message in stretch.final()]
        self._side.add(final, decided, at_ms=clock_ms)

    @property
    def decided_from_ms(self) -> int:
        """The grid point before the first one that is decided in the range: when its windows are complete."""
        return 0 if self._plan.whole else self._config.span[0] - self._config.fold.lateness_ms

    @property
    def decided_to_ms(self) -> int:
        """The last grid point that is complete in the range and was evaluated."""
        return min(self.backtest.evaluated_ms, self._config.span[1] - self._config.fold.lateness_ms)

    @property
    def whole_to_ms(self) -> int:
        """Up to where every partition was folded."""
        size_ms = self._config.fold.segment_ms
        reached_ms = min(self._config.span[1], *(stretch.clock_ms or 0 for stretch in self.stretches))
        return reached_ms // size_ms * size_ms
