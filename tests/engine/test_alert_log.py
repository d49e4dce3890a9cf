"""One log of alerts, however the input is partitioned, and however the partitions' messages interleave."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import pytest
from pydantic import TypeAdapter

from engine.evaluator import Evaluation, Evaluator, EvaluatorConfig
from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from engine.history import of_file
from engine.trial import BEGIN_MS
from schemas.alerts import Transition
from schemas.rollup_wire import Mark, decode_message, rows_of
from schemas.rules import Rule
from schemas.topics import SAMPLES
from schemas.wire import SampleDecoder, Tick, encode

RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
WINDOWS = 90
HOSTS = 12
EPOCH = "log"
CONFIG = FoldConfig(topic=SAMPLES.name, epoch=EPOCH)


def rule(id_: str, kind: str = "threshold", metric: str | None = "cpu", **fields: Any) -> Rule:
    about = {"metric": metric} if metric else {}
    return RULE.validate_python({"id": id_, "kind": kind, **about, **fields})


ERRORS = {"outcome": "error"}
# fmt: off
RULES = [
    rule("average", warning=0.8, critical=0.95, **{"for": "20s"}),
    rule("greatest", aggregate="max", warning=0.97),
    rule("slowest", metric="latency", aggregate="p95", group_by=[], warning=0.6, over="30s"),
    rule("failing", "ratio", metric="requests", bad=ERRORS, group_by=["service"], over="1m", warning=0.05),
    rule("rises", "change", ago="2m", warning=0.5),
    rule("unlike", "outlier", warning=6, floor=0.02),
    rule("gone", "absence", after="30s"),
    rule(
        "budget", "burn_rate", metric="requests", bad=ERRORS, group_by=["service"], objective=0.999,
        burns=[{"factor": 3, "long": "10m", "short": "5m", "severity": "warning"}],
    ),
    rule("both", "composite", metric=None, rules=["average", "unlike"]),
    rule("then", "sequence", metric=None, first="rises", then="average", within="2m"),
]
# fmt: on


def records(number: random.Random) -> list[tuple[int, str, bytes]]:
    """At which second, of which host, a record: hosts get busy, fail and fall silent."""
    found = []
    busy = {host: (number.randrange(20, 60), number.randrange(6, 25)) for host in range(0, HOSTS, 3)}
    for at_s in range(0, WINDOWS * 10, 5):
        for host in range(HOSTS):
            from_window, length = busy.get(host, (999, 0))
            struck = from_window <= at_s // 10 < from_window + length
            if host == 5 and 400 <= at_s < 500:
                continue
            level = min(1.0, number.gauss(0.93 if struck else 0.3, 0.04))
            samples = [
                {"metric": "cpu", "kind": "gauge", "value": level},
                {"metric": "latency", "kind": "gauge", "value": number.expovariate(2.0 if struck else 9.0)},
            ]
            for outcome, value in (("ok", 20), ("error", number.randrange(9) if struck else 0)):
                about = {"outcome": outcome, "service": f"s{host % 2}"}
                samples.append({"metric": "requests", "kind": "delta", "value": value, "dimensions": about})
            at_ms, source = BEGIN_MS + at_s * 1000, f"host-{host}"
            head = {"v": 1, "source": source, "boot": "b", "seq": at_s, "sent_ms": at_ms, "at_ms": at_ms}
            found.append((at_s, source, encode({**head, "samples": samples})))
    return found


def messages(some: Iterable[tuple[int, str, bytes]], partitions: int, *, early: bool) -> list[list[bytes]]:
    """What each partition's fold publishes, in its order, its watermarks among it."""
    by_window: defaultdict[tuple[int, int], list[bytes]] = defaultdict(list)
    for at_s, source, value in some:
        by_window[int(source.removeprefix("host-")) % partitions, at_s // 10].append(value)
    return [list(_folded(number, by_window, early=early)) for number in range(partitions)]


def _folded(partition: int, by_window: dict[tuple[int, int], list[bytes]], *, early: bool) -> Iterator[bytes]:
    fold, decoder, offset = PartitionFold(CONFIG, start=Start.FRESH, offset=0), SampleDecoder(), 0
    for window in range(WINDOWS):
        for values in _parts(by_window.get((partition, window), []), 2 if early else 1):
            fold.fold(range(offset, offset + len(values)), decoder.decode_batch(values))
            offset += len(values)
            if early:
                yield from _published(fold, early=True)
        end_ms = BEGIN_MS + (window + 1) * 10_000
        fold.fold([offset], decoder.decode_batch([encode(Tick(1, EPOCH, end_ms + CONFIG.lateness_ms))]))
        offset += 1
        yield from _published(fold, early=False)
        yield b"mark %d" % end_ms


def _parts(values: list[bytes], count: int) -> Iterator[list[bytes]]:
    size = -(-len(values) // count) or 1
    return (values[first : first + size] for first in range(0, len(values), size))


def _published(fold: PartitionFold, *, early: bool) -> Iterator[bytes]:
    checkpoint = fold.checkpoint(early=early)
    fold.acknowledge(checkpoint)
    for _, value in checkpoint.messages:
        if not isinstance(decode_message(value), Mark):
            yield value


def decided(logs: Sequence[list[bytes]], number: random.Random, *, early: bool) -> list[Transition]:
    """What is decided where the partitions' messages come in some interleaving: of each its own order is kept."""
    evaluator = Evaluator(EvaluatorConfig(inputs=frozenset((SAMPLES.name, one) for one in range(len(logs)))))
    evaluator.apply_rules(of_file(RULES, {}).at(0))
    # All of them begin at once: the first grid point is that of the slowest.
    for partition in range(len(logs)):
        evaluator.add_mark(Mark(SAMPLES.name, EPOCH, partition, BEGIN_MS, 0))
    evaluator.evaluate()
    places, ended, told = [0] * len(logs), [0] * len(logs), []
    while any(place < len(log) for place, log in zip(places, logs, strict=True)):
        # None is further ahead than a partition that does not hold alerts back may be.
        open_ = [one for one in range(len(logs)) if places[one] < len(logs[one]) and ended[one] <= min(ended) + 1]
        partition = number.choice(open_)
        value = logs[partition][places[partition]]
        places[partition] += 1
        if value.startswith(b"mark "):
            ended[partition] += 1
            evaluator.add_mark(Mark(SAMPLES.name, EPOCH, partition, int(value[5:]), 0))
        else:
            message = decode_message(value)
            assert not isinstance(message, Mark)
            evaluator.add_rows(rows_of(message))
        told += [one for evaluation in evaluator.evaluate() for one in _told(evaluation)]
        if early and (ahead := evaluator.anticipate()) is not None:
            told += _told(ahead)
    assert evaluator.take_amendments() == []
    return told


def _told(evaluation: Evaluation) -> list[Transition]:
    return [one for one in evaluation.transitions if not one.partial]


def digest(told: Iterable[Transition], *, whole: bool) -> str:
    """SHA-256 of a log, in the order of time: of all that it says, or of what was decided."""
    ordered = sorted(told, key=lambda one: (one.at_ms, one.alert, one.revision))
    lines = (one.model_dump_json() if whole else f"{one.id} {one.from_state}" for one in ordered)
    return sha256("\n".join(lines).encode()).hexdigest()


@pytest.mark.parametrize("seed", range(3))
def test_the_log_of_alerts_is_the_same_for_1_2_and_4_partitions_and_whatever_their_messages_interleave_to(
    seed: int,
) -> None:
    some = records(random.Random(seed))
    found: dict[str, set[str]] = {}
    for partitions in (1, 2, 4):
        logs = messages(some, partitions, early=False)
        for shuffle in range(1 if partitions == 1 else 3):
            told = decided(logs, random.Random(shuffle), early=False)
            found[digest(told, whole=True)] = {one.rule for one in told}
    assert list(found.values()) == [{one.id for one in RULES}]


@pytest.mark.parametrize("seed", range(2))
def test_what_is_said_early_is_what_is_decided_later_however_soon_it_is_said(seed: int) -> None:
    some = records(random.Random(seed))
    later = digest(decided(messages(some, 2, early=False), random.Random(0), early=False), whole=False)
    for shuffle in range(3):
        soon = decided(messages(some, 2, early=True), random.Random(shuffle), early=True)
        assert any(one.rule == "greatest" for one in soon)
        assert digest(soon, whole=False) == later
