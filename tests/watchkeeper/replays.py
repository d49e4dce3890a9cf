"""A pipeline's past in ClickHouse, as the sink stores it: input logs, their rollups, rules, and what was decided."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agents.decode import decoder_of
from connect.clickhouse import Store
from engine.evaluator import Evaluator, EvaluatorConfig
from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from engine.parts import VersionedRule
from schemas.alerts import Transition
from schemas.control import RuleApplied, RuleControl
from schemas.rollup_wire import Mark, decode_message, rows_of
from schemas.rules import Rule, ThresholdRule
from schemas.topics import ALERTS, CONTROL
from sinks.clickhouse.tables import tables
from tests.sinks.stored import EPOCH, START_MS, Stored, insert, messages, record, tick
from watchkeeper.replay import ReplayConfig

SECONDS = 480
CONFIG = FoldConfig()
Logs = Mapping[tuple[str, int], Sequence[bytes]]

LOAD = ThresholdRule.model_validate(
    {
        "id": "load-high",
        "kind": "threshold",
        "metric": "load",
        "aggregate": "max",
        "over_ms": 20_000,
        "direction": "above",
        "warning": 80.0,
        "critical": 95.0,
        "for_ms": 10_000,
        "good_windows": 2,
        "group_by": ["source"],
    }
)


def logs(
    seed: int = 1,
    *,
    sketches: bool = False,
    seconds: int = SECONDS,
    start_ms: int = START_MS,
    epoch: str = EPOCH,
) -> Logs:
    """Logs of two partitions of samples and one of errors: out of order, late, repeated, skewed, and partly bad."""
    numbers = random.Random(seed)
    found: dict[tuple[str, int], Sequence[bytes]] = {
        ("metrics.samples", number): _samples(
            numbers, f"web-{number}", seconds, start_ms, sketches=sketches, epoch=epoch
        )
        for number in range(2)
    }
    found["events.errors", 0] = _errors(numbers, seconds, start_ms, epoch)
    return found


def _samples(
    numbers: random.Random, source: str, seconds: int, start_ms: int, epoch: str, *, sketches: bool
) -> list[bytes]:
    arrivals: list[tuple[int, bytes]] = [
        (start_ms + second * 1_000 + 137, tick(start_ms + second * 1_000 + 137, epoch)) for second in range(seconds)
    ]
    counter, load = 0.0, 50.0
    for seq in range(seconds):
        at_ms = start_ms + seq * 1_000 + numbers.randrange(1_000)
        counter = 0.0 if numbers.random() < 0.01 else counter + numbers.random()
        load = min(100.0, max(0.0, load + numbers.uniform(-9, 9)))
        samples: list[dict[str, Any]] = [
            {"metric": "load", "value": load},
            {"metric": "requests", "kind": "delta", "value": numbers.random(), "dimensions": {"path": "/a"}},
            {"metric": "bytes", "kind": "cumulative", "value": counter},
            {"metric": "earlier", "value": numbers.gauss(0, 5), "at_ms": at_ms - 7_000},
        ]
        if sketches:
            ends = {"sum": 3.0, "min": 1.0, "max": 2.0}
            samples.append({"metric": "took", "kind": "sketch", "sketch": {**ends, "zero": 0, "positive": {"0": 2}}})
        if seq % 50 == 7:
            samples.append({"metric": "load", "value": "no number"})
        late_ms = numbers.randrange(5_000, 90_000) if numbers.random() < 0.05 else numbers.randrange(1_500)
        off_ms = 3_600_000 if seq % 40 == 3 else 0
        value = record(
            seq, at_ms + off_ms, source=source, boot=epoch, sent_ms=at_ms + late_ms + off_ms, samples=samples
        )
        arrivals += [(at_ms + late_ms, value)] * (2 if numbers.random() < 0.1 else 1)
        if seq % 100 == 11:
            arrivals.append((at_ms, b"not json"))
    arrivals.sort(key=lambda one: one[0])
    return [value for arrives_ms, value in arrivals if arrives_ms < start_ms + seconds * 1_000]


def _errors(numbers: random.Random, seconds: int, start_ms: int, epoch: str) -> list[bytes]:
    found = []
    for second in range(seconds):
        at_ms = start_ms + second * 1_000 + 300
        found.append(tick(at_ms, epoch))
        if numbers.random() < 0.3:
            about: dict[str, Any] = {"service": "shop", "type": "Timeout", "severity": "error", "message": "m"}
            found.append(record(second, at_ms, source="shop-1", boot=epoch, **about))
    return found


def live_transitions(past: Logs, changes: Sequence[tuple[int, Mapping[str, VersionedRule]]]) -> list[Transition]:
    """What an evaluator decides that is fed as the workers feed it: each second of each log by itself, and early rows.

    Args:
        changes: From which time on which rules are in force.
    """
    evaluator = Evaluator(EvaluatorConfig(inputs=frozenset(past)))
    folds = {where: PartitionFold(CONFIG.at(where[0], EPOCH, where[1]), start=Start.FRESH, offset=0) for where in past}
    waiting, found = list(changes), list[Transition]()
    places = dict.fromkeys(past, 0)
    for at_ms in range(START_MS, START_MS + SECONDS * 1_000, 1_000):
        for where, fold in folds.items():
            some = list(_until(past[where], places[where], at_ms))
            fold.fold(range(places[where], places[where] + len(some)), decoder_of(where[0])(some))
            places[where] += len(some)
            checkpoint = fold.checkpoint(early=at_ms % 3_000 == 0)
            for _, value in checkpoint.messages:
                message = decode_message(value)
                if not isinstance(message, Mark):
                    evaluator.add_rows(rows_of(message))
            if checkpoint.watermark_ms is not None:
                evaluator.add_mark(Mark(*where[:1], EPOCH, where[1], checkpoint.watermark_ms, checkpoint.next_offset))
        while waiting and (evaluator.evaluated_ms or 0) + CONFIG.window_ms >= waiting[0][0]:
            evaluator.apply_rules(waiting.pop(0)[1])
        found += [one for done in evaluator.evaluate() for state in done.states for one in state.unsent]
    return found


def _until(log: Sequence[bytes], first: int, at_ms: int) -> Iterator[bytes]:
    for value in log[first:]:
        yield value
        if b'"tick"' in value and json.loads(value)["at_ms"] >= at_ms:
            return


class Past:
    """Stores it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._tables = tables(CONFIG)

    def inputs(self, past: Logs, *, epoch: str = EPOCH) -> None:
        """Input logs, with what the workers folded."""
        stored = Stored(self.store)
        for (topic, partition), values in past.items():
            stored.both(values, topic=topic, partition=partition, epoch=epoch)

    def _records(self, topic: str, values: Sequence[bytes]) -> None:
        table = self._tables[topic]
        batch = table.read(messages(values, topic=topic, partition=0), EPOCH)
        assert not batch.refused
        insert(self.store, table, batch)

    def decided(self, transitions: Sequence[Transition]) -> None:
        """Transitions that were emitted."""
        self._records(ALERTS.name, [one.model_dump_json().encode() for one in transitions])

    def rule(self, rule: Rule | None, *, name: str, version: int, from_ms: int) -> None:
        """A version of a rule, applied from an evaluation time on. Decided somewhat before."""
        control = RuleControl(id=f"rule/{name}", version=version, at_ms=from_ms - 4_000, by="ada", rule=rule)
        applied = RuleApplied(id=f"applied/{name}", version=version, from_ms=from_ms)
        self._records(CONTROL.name, [one.model_dump_json().encode() for one in (control, applied)])

    def bytes_of(self, table: str) -> bytes:
        """All that a table holds, in an order of its own."""
        return b"".join(self.store.raw(f"SELECT * FROM {table} FINAL ORDER BY ALL", "RowBinary"))


def chosen(**fields: Any) -> ReplayConfig:
    """The whole past once more, as it was, from ClickHouse, unless `fields` say something else."""
    defaults: dict[str, Any] = {
        "name": "again",
        "replace": False,
        "from_ms": START_MS,
        "to_ms": START_MS + SECONDS * 1_000,
        "live": CONFIG,
        "fold": CONFIG,
        "rules": None,
        "rules_from": "then in force",
        "source": "auto",
        "kafka": None,
        "epoch": EPOCH,
        "made_ms": START_MS,
    }
    return ReplayConfig(**{**defaults, **fields})
