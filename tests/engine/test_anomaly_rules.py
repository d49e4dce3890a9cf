"""Rules on anomalies: what they tell of days of rows, before and after a restart."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from engine.anomaly import reach_ms
from engine.detectors import Detectors
from engine.evaluator import Evaluation, Evaluator, EvaluatorConfig
from engine.held import Entity
from engine.memory import MAX_BUCKETS, MAX_ENTITIES, Memory, Ring, basis_of
from engine.parts import VersionedRule
from engine.transitions import summary
from engine.wording import measured, worst_case_delay
from schemas.alerts import BUCKET_MS, AlertState, MemoryBucket, MemoryChunk, Outcome, Severity, State
from schemas.anomaly import AnomalyRule
from schemas.dimensions import canonical
from schemas.rules import Rule
from tests.engine.timelines import mark, rows

RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
DAY = 288
DAY_MS = 86_400_000
T = 1_790_000_000_000 // DAY_MS * DAY_MS
WEB = canonical({"source": "web"})
SLOW = range(4 * DAY, 4 * DAY + 12)
"""When requests take long."""

SIZE = 4 * DAY + 60


def rule(**fields: Any) -> AnomalyRule:
    found = RULE.validate_python({"id": "slow", "kind": "anomaly", "metric": "m", "over": "15m", **fields})
    assert isinstance(found, AnomalyRule)
    return found


def duration_ms(bucket: int) -> float:
    """About 110 by midnight, less at noon, and 480 while it is slow."""
    return 480.0 if bucket in SLOW else 100 + 10 * math.cos(2 * math.pi * bucket / DAY) + 37 * bucket % 11


class Running:
    """An evaluator, and what of it is durable; a row each five minutes, and windows as long: no other time matters."""

    def __init__(self, one: AnomalyRule, window_ms: int = BUCKET_MS) -> None:
        self.rule = one
        self.config = EvaluatorConfig(inputs=frozenset({("in", 0)}), window_ms=window_ms)
        self.states: dict[str, AlertState] = {}
        self.memory: dict[int, MemoryChunk] = {}
        self.told: list[str] = []
        self.start(None)

    def start(self, evaluated_ms: int | None) -> None:
        self.evaluator = Evaluator(self.config)
        self.evaluator.apply_rules({"slow": VersionedRule(1, self.rule)})
        self.evaluator.restore(self.states.values(), evaluated_ms)
        self.evaluator.restore_memory(self.memory.values())

    def feed(self, bucket: int) -> None:
        start_ms = T + bucket * BUCKET_MS
        self.evaluator.add_rows(rows(duration_ms(bucket), start_ms))
        self.evaluator.add_mark(mark(start_ms + BUCKET_MS))
        for evaluation in self.evaluator.evaluate():
            self.keep(evaluation)

    def keep(self, evaluation: Evaluation) -> None:
        self.states |= {state.alert: state for state in evaluation.states}
        self.memory |= {chunk.slot: chunk for chunk in evaluation.memory}
        self.told += [f"{(one.at_ms - T) // BUCKET_MS} {one.to_state}: {one.summary}" for one in evaluation.transitions]


def told(one: AnomalyRule, *, restart_at: int | None = None, loses: str = "") -> list[str]:
    """What is told of all days.

    Args:
        loses: What of the last grid point before a restart was not durable.
    """
    running = Running(one)
    for bucket in range(SIZE):
        if bucket == restart_at:
            running.start(T + (bucket - (loses == "decision")) * BUCKET_MS)
            running.evaluator.add_rows(rows(duration_ms(bucket - 1), T + (bucket - 1) * BUCKET_MS))
        running.feed(bucket)
    return running.told


WHOLE = told(rule(keep_firing_for="1h"))


def test_the_person_who_is_paged_reads_what_came_and_what_was_expected() -> None:
    pending, firing, recovering, ok = WHOLE
    assert pending.startswith(f"{SLOW.start + 1} pending: ")
    assert firing.startswith(f"{SLOW.start + 1} firing: m avg of web is 236, expected ")
    assert firing.endswith(" at this hour")
    low, high = (float(part) for part in firing.split("expected ")[1].removesuffix(" at this hour").split(" to "))
    assert 90 < low < 115 < high < 140
    assert recovering.startswith(f"{SLOW.stop + 3} recovering: ")
    assert ok.startswith(f"{SLOW.stop + 15} ok: ")


@pytest.mark.parametrize("at", [1, DAY, 3 * DAY + 7, SLOW.start, SLOW.start + 1, SLOW.start + 6, SLOW.stop + 5])
@pytest.mark.parametrize("loses", ["", "decision"])
def test_a_restart_at_any_point_decides_the_same(at: int, loses: str) -> None:
    heard = told(rule(keep_firing_for="1h"), restart_at=at, loses=loses)
    assert list(dict.fromkeys(heard)) == WHOLE


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"side": "above"}, "expected at most "),
        ({"side": "above", "seasons": "none"}, "expected at most "),
        ({"side": "below"}, None),
        ({"at_least": 1000}, None),
        ({"warning": None, "critical": 2}, "expected "),
    ],
)
def test_a_rule_tells_what_it_was_asked_for(fields: dict[str, Any], expected: str | None) -> None:
    firing = [one for one in told(rule(**fields)) if " firing: " in one]
    assert len(firing) == (expected is not None)
    assert all(expected in one for one in firing if expected)
    assert all(one.endswith(" at this hour") is ("seasons" not in fields) for one in firing)


def test_a_side_below_says_what_there_should_be_at_least() -> None:
    class Falls(Running):
        def feed(self, bucket: int) -> None:
            start_ms = T + bucket * BUCKET_MS
            value = 0.0 if bucket in SLOW else duration_ms(bucket)
            self.evaluator.add_rows(rows(value, start_ms))
            self.evaluator.add_mark(mark(start_ms + BUCKET_MS))
            for evaluation in self.evaluator.evaluate():
                self.keep(evaluation)

    running = Falls(rule(side="below"))
    for bucket in range(SIZE):
        running.feed(bucket)
    (firing,) = [one for one in running.told if " firing: " in one]
    assert "m avg of web is 76, expected at least " in firing


def test_of_windows_of_ten_seconds_each_bucket_holds_thirty() -> None:
    running = Running(rule(), window_ms=10_000)
    for window in range(95):
        running.evaluator.add_rows(rows(float(window), T + window * 10_000))
        running.evaluator.add_mark(mark(T + (window + 1) * 10_000))
        for evaluation in running.evaluator.evaluate():
            running.keep(evaluation)
    (chunk,) = running.memory.values()
    assert [(bucket.n, bucket.value) for bucket in chunk.buckets] == [
        (30, sum(range(first, first + 30))) for first in (0, 30, 60)
    ]


def note(memory: Memory, one: AnomalyRule, bucket: int, entity: Entity, value: float = 1.0) -> list[MemoryChunk]:
    return memory.note(one, {entity: MemoryBucket(start_ms=T + bucket * BUCKET_MS, n=1, value=value)})


def remembering(one: AnomalyRule, values: Callable[[int], float], size: int = 3 * DAY) -> tuple[Memory, Detectors]:
    memory = Memory()
    memory.apply_rules([one])
    detectors = Detectors(memory)
    for bucket in range(size):
        note(memory, one, bucket, WEB, values(bucket))
    return memory, detectors


def test_of_a_time_before_the_last_nothing_is_said_and_the_last_may_be_read_again() -> None:
    one = rule()
    _, detectors = remembering(one, duration_ms)
    at_ms = T + 3 * DAY * BUCKET_MS
    first = detectors.read(one, at_ms)
    assert first[WEB].outcome is Outcome.VALUE
    assert detectors.read(one, at_ms, [WEB]) == first
    assert detectors.read(one, at_ms - BUCKET_MS) == {}
    assert detectors.read(one, at_ms, [canonical({"source": "other"})]) == {}


def test_of_an_entity_that_sends_nothing_nothing_is_read_and_of_one_that_is_new_nothing_is_said() -> None:
    one = rule()
    memory, detectors = remembering(one, duration_ms)
    other = canonical({"source": "new"})
    note(memory, one, 3 * DAY + 2, other)
    found = detectors.read(one, T + (3 * DAY + 3) * BUCKET_MS)
    assert {entity: reading.outcome for entity, reading in found.items()} == {other: Outcome.UNDEFINED}


def test_another_side_goes_on_from_the_same_memory_and_other_seasons_begin_anew() -> None:
    one, at_ms = rule(), T + 3 * DAY * BUCKET_MS
    memory, detectors = remembering(one, lambda bucket: 480.0 if bucket == 3 * DAY - 1 else duration_ms(bucket))
    both = detectors.read(one, at_ms)[WEB].value
    assert both is not None
    assert both > 1
    for side, is_off in (("above", True), ("below", False)):
        other = rule(side=side)
        memory.apply_rules([other])
        value = detectors.read(other, at_ms)[WEB].value
        assert value is not None
        assert (value > 1) is is_off
    elsewhere = rule(where={"zone": "b"})
    memory.apply_rules([elsewhere])
    note(memory, elsewhere, 3 * DAY - 1, WEB)
    assert detectors.read(elsewhere, at_ms)[WEB].outcome is Outcome.UNDEFINED
    weekly = rule(seasons="week")
    memory.apply_rules([weekly])
    assert detectors.read(weekly, at_ms) == {}
    assert len({basis_of(rule(seasons=seasons)) for seasons in ("day", "week", "none")}) == 3


def test_an_entity_that_was_forgotten_and_comes_again_is_a_new_one() -> None:
    one = rule(seasons="none")
    memory, detectors = remembering(one, duration_ms)
    detectors.read(one, T + 3 * DAY * BUCKET_MS)
    other = canonical({"source": "other"})
    later = 40 * DAY
    note(memory, one, later, other)
    assert detectors.read(one, T + (later + 1) * BUCKET_MS).keys() == {other}
    note(memory, one, later + 1, WEB)
    assert detectors.read(one, T + (later + 2) * BUCKET_MS)[WEB].outcome is Outcome.UNDEFINED


def test_a_rule_that_looks_further_back_has_fewer_entities(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_BUCKETS // (171 * 12) == MAX_ENTITIES
    monkeypatch.setattr("engine.memory.MAX_BUCKETS", 2 * 12 * 360)
    one = rule()
    memory = Memory()
    memory.apply_rules([one])
    found = [note(memory, one, 0, canonical({"source": f"web-{number}"})) for number in range(5)]
    assert [len(chunks) for chunks in found] == [1, 1, 0, 0, 0]


@pytest.mark.parametrize("seasons", ["day", "week", "none"])
def test_it_remembers_as_much_as_a_detector_is_made_of(seasons: Any) -> None:
    one = rule(seasons=seasons, over="1h")
    assert 0 <= one.remembered_ms - (reach_ms(seasons) + one.over_ms) <= 3_600_000


def test_of_buckets_that_the_ring_has_passed_nothing_is_left() -> None:
    ring = Ring(1)
    for place in range(12):
        ring.put(MemoryBucket(start_ms=T + place * BUCKET_MS, n=2, value=6.0))
    counts, values = ring.columns(T + 10 * BUCKET_MS, T + 14 * BUCKET_MS)
    assert (counts.tolist(), values.tolist()) == ([2, 2, 0, 0], [6.0, 6.0, 0.0, 0.0])


def test_it_says_in_words_what_it_compares_how_late_it_may_be_and_how_often_it_errs() -> None:
    assert measured(rule()) == "m avg, in usual distances from what is expected,"
    told_ = worst_case_delay(rule(over="1h", false_alerts_per_day=0.01))
    assert told_.startswith("fires at most 3894 s after the threshold is crossed (304 s, over: 3590 s more)")
    assert told_.endswith("; 0.01 false alerts a day are to be expected of each entity")
    without = summary(rule(), {"source": "web"}, State.FIRING, Severity.WARNING, value=1.5, threshold=1.0)
    assert without == "m avg of web is 1.5 usual distances from what is expected"


@pytest.mark.parametrize(
    "fields",
    [
        {"over": "2h"},
        {"over": "7m"},
        {"aggregate": "p99"},
        {"false_alerts_per_day": 0},
        {"seasons": "year"},
        {"warning": 2, "critical": 1},
        {"warning": None},
    ],
)
def test_rules_that_cannot_be_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**fields)
