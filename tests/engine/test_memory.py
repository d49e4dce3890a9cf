"""Rules that look far back: what they remember, and what they decide from it, before and after a restart."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from engine import memory as module
from engine.evaluator import Evaluation, Evaluator, EvaluatorConfig
from engine.memory import CHUNK_BUCKETS, Memory, Ring
from engine.parts import VersionedRule
from schemas.alerts import BUCKET_MS, AlertState, MemoryBucket, MemoryChunk
from schemas.dimensions import canonical
from schemas.rollup_wire import Mark, Rows
from schemas.rules import ChangeRule, Rule
from tests.engine.timelines import mark, rows

RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
HOUR_MS = 3_600_000
T = 1_790_000_000_000 // HOUR_MS * HOUR_MS
WEB = canonical({"source": "web-1"})


def rule(**fields: Any) -> ChangeRule:
    given_ = {"id": "r", "kind": "change", "metric": "m", "ago": "2h", "over": "5m", "warning": 10, "good_windows": 1}
    found = RULE.validate_python({**given_, **fields})
    assert isinstance(found, ChangeRule)
    return found


def bucket(one: ChangeRule, start_ms: int, *values: float) -> MemoryBucket:
    value = {"avg": sum(values), "min": min(values), "max": max(values)}[one.aggregate]
    return MemoryBucket(start_ms=start_ms, n=len(values), value=value)


def remembering(one: ChangeRule) -> Memory:
    found = Memory()
    found.apply_rules([one])
    return found


FOLDS: dict[str, Callable[[list[float]], float]] = {"avg": lambda some: sum(some) / len(some), "min": min, "max": max}
Buckets = dict[int, list[float]]
BUCKETS: st.SearchStrategy[Buckets] = st.dictionaries(
    st.integers(0, 200), st.lists(st.integers(-100, 100).map(float), min_size=1, max_size=4), max_size=120
)


@given(BUCKETS, st.sampled_from(["avg", "min", "max"]), st.sampled_from(["5m", "15m", "1h"]))
@settings(deadline=None)
def test_a_ring_says_what_a_fold_over_everything_says_and_so_does_one_restored_from_the_log(
    buckets: Buckets, aggregate: str, over: str
) -> None:
    one = rule(aggregate=aggregate, over=over)
    whole, log, restored = remembering(one), {}, remembering(one)
    for number in range(201):
        at_ms = T + number * BUCKET_MS
        for chunk in whole.note(
            one, {WEB: bucket(one, at_ms - BUCKET_MS, *buckets[number])} if number in buckets else {}
        ):
            log[chunk.slot] = chunk
        last = number - one.agos_ms[0] // BUCKET_MS
        seen = range(last - one.over_ms // BUCKET_MS + 1, last + 1)
        values = [value for each in seen for value in buckets.get(each, [])]
        known = all(each in buckets for each in seen)
        assert whole.before(one, one.agos_ms[0], WEB, at_ms + 10_000) == (FOLDS[aggregate](values) if known else None)
    restored.restore(MemoryChunk.model_validate_json(chunk.model_dump_json()) for chunk in log.values())
    for ahead in range(40):
        at_ms = T + (200 + ahead) * BUCKET_MS
        assert restored.before(one, one.agos_ms[0], WEB, at_ms) == whole.before(one, one.agos_ms[0], WEB, at_ms)


def test_the_log_holds_no_more_keys_than_the_ring_has_hours() -> None:
    one = rule(ago="7d")
    some = remembering(one)
    slots = {
        chunk.slot
        for number in range(5000)
        for chunk in some.note(one, {WEB: bucket(one, T + number * BUCKET_MS, 1.0)})
    }
    assert len(slots) == 7 * 24 + 2
    assert Ring(len(slots)).size_bytes == len(slots) * CHUNK_BUCKETS * 32


def test_a_bucket_that_is_known_stays_and_an_older_one_does_not_displace_a_newer() -> None:
    ring = Ring(1)
    newer = MemoryBucket(start_ms=T + HOUR_MS, n=1, value=1.0)
    older = newer.model_copy(update={"start_ms": T})
    assert [ring.put(one) for one in (newer, newer, older)] == [True, False, False]
    assert ring.over(T, T + 2 * HOUR_MS) == [newer]


def test_a_rule_that_looks_at_something_else_begins_anew_and_one_with_another_threshold_goes_on() -> None:
    one = rule()
    some = remembering(one)
    (chunk,) = some.note(one, {WEB: bucket(one, T, 7.0)})
    at_ms = T + BUCKET_MS + one.agos_ms[0]
    some.apply_rules([rule(warning=20)])
    assert some.before(one, one.agos_ms[0], WEB, at_ms) == 7.0
    other = rule(where={"zone": "b"})
    some.apply_rules([other])
    some.restore([chunk, chunk.model_copy(update={"rule": "gone"})])
    assert some.before(other, other.agos_ms[0], WEB, at_ms) is None


def test_no_more_entities_are_remembered_than_the_limit_until_others_are_long_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_ENTITIES", 1)
    one = rule()
    some = remembering(one)
    other = canonical({"source": "web-2"})
    (chunk,) = some.note(one, {WEB: bucket(one, T, 1.0), other: bucket(one, T, 1.0)})
    assert chunk.entity == {"source": "web-1"}
    some.restore([chunk.model_copy(update={"entity": {"source": "web-2"}})])
    assert some.before(one, one.agos_ms[0], other, T + BUCKET_MS + one.agos_ms[0]) is None
    assert [each.entity["source"] for each in some.note(one, {other: bucket(one, T + 9 * HOUR_MS, 1.0)})] == ["web-2"]


class Running:
    """An evaluator, and what of it is durable."""

    def __init__(self, one: ChangeRule) -> None:
        self.rule = one
        self.states: dict[str, AlertState] = {}
        self.memory: dict[tuple[str, int], MemoryChunk] = {}
        self.told: list[str] = []
        self.start(None)

    def start(self, evaluated_ms: int | None) -> None:
        self.evaluator = Evaluator(EvaluatorConfig(inputs=frozenset({("in", 0)})))
        self.evaluator.apply_rules({"r": VersionedRule(1, self.rule)})
        self.evaluator.restore(self.states.values(), evaluated_ms)
        self.evaluator.restore_memory(self.memory.values())

    def feed(self, some: Rows | Mark) -> None:
        if isinstance(some, Rows):
            self.evaluator.add_rows(some)
            return
        self.evaluator.add_mark(some)
        for evaluation in self.evaluator.evaluate():
            self.keep(evaluation)

    def keep(self, evaluation: Evaluation) -> None:
        self.states |= {state.alert: state for state in evaluation.states}
        self.memory |= {(chunk.entity["source"], chunk.slot): chunk for chunk in evaluation.memory}
        self.told += [f"{one.to_state}:{one.severity} {(one.at_ms - T) // 1000}" for one in evaluation.transitions]


def play(*, minutes: int, restart_at: int | None = None, keeps_memory: bool = True) -> list[str]:
    """Ten in most minutes, thirty from minute 150 to 160; a restart before a window, which reads ten minutes again."""
    running = Running(rule())
    sent: list[tuple[Rows, Mark]] = []
    for number in range(minutes * 6):
        if number == restart_at:
            if not keeps_memory:
                running.memory = {}
            running.start(T + number * 10_000)
            for again, _ in sent[-60:]:
                running.feed(again)
        value = 30.0 if 150 * 6 <= number < 160 * 6 else 10.0
        sent.append((rows(value, T + number * 10_000), mark(T + (number + 1) * 10_000)))
        for one in sent[-1]:
            running.feed(one)
    return running.told


def test_a_change_fires_against_what_is_remembered() -> None:
    told = play(minutes=170)
    assert [one.split()[0] for one in told] == ["pending:warning", "firing:warning", "ok:warning"]
    assert 150 * 60 < int(told[0].split()[1]) <= 155 * 60


@pytest.mark.parametrize("at", [1, 29, 30, 31, 400, 899, 901, 920, 930, 961, 990])
def test_a_restart_at_any_point_decides_the_same(at: int) -> None:
    assert play(minutes=170, restart_at=at) == play(minutes=170)


def test_memory_that_was_lost_pages_nobody() -> None:
    assert play(minutes=170, restart_at=600, keeps_memory=False) == []


@pytest.mark.parametrize(
    "fields", [{"ago": "2h", "over": "10s"}, {"ago": "61m"}, {"ago": "2h", "over": "2h"}, {"aggregate": "p99"}]
)
def test_what_cannot_be_remembered_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="ago beyond 1h needs"):
        rule(**fields)


def test_of_five_minutes_of_silence_nothing_is_remembered() -> None:
    running = Running(rule(over="15m"))
    running.feed(mark(T))
    running.feed(rows(1.0, T))
    for minute in range(1, 12):
        running.feed(mark(T + minute * 60_000))
    (chunk,) = running.memory.values()
    assert [bucket.start_ms for bucket in chunk.buckets] == [T]
