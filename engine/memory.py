"""What rules that look far back remember of each entity: the level of each five minutes, in a ring.

A ring is as long as its rule looks back. It is written to `alerts.state` an hour at a time, under keys that come round
with the ring, so that compaction bounds the topic as the ring bounds the process.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from engine.held import Entity
from schemas.alerts import BUCKET_MS, MemoryBucket, MemoryChunk
from schemas.anomaly import AnomalyRule
from schemas.burn_rate import BurnRateRule
from schemas.dimensions import canonical, fingerprint
from schemas.rules import ChangeRule, Rule

Remembering = ChangeRule | BurnRateRule | AnomalyRule
"""Kinds that may look far back."""

CHUNK_BUCKETS = 12
CHUNK_MS = CHUNK_BUCKETS * BUCKET_MS
MAX_ENTITIES = 2_000
"""Of one rule. Of those beyond nothing is remembered, and what they are compared with is undefined."""

MAX_BUCKETS = MAX_ENTITIES * 171 * CHUNK_BUCKETS
"""Of one rule: those of so many entities over a week, 131 MB. One that looks further back has fewer entities."""


def remembers(rule: Rule) -> TypeGuard[Remembering]:
    """Whether a rule looks further back than rows are held."""
    return rule.remembered_ms > 0


def basis_of(rule: Remembering) -> str:
    """Equal for rules that remember the same: a rule of another basis begins anew. 16 hexadecimal digits."""
    parts: tuple[str, ...]
    if isinstance(rule, BurnRateRule):
        bad = ",".join(f"{name}={value}" for name, value in canonical(rule.bad))
        parts = ("burn rate", bad, rule.total, str(rule.remembered_ms), ",".join(rule.group_by))
    elif isinstance(rule, AnomalyRule):
        parts = (rule.kind, rule.aggregate, rule.seasons, ",".join(rule.group_by))
    else:
        agos = ",".join(str(one) for one in rule.agos_ms)
        parts = (rule.aggregate, agos, str(rule.over_ms), ",".join(rule.group_by))
    return f"{fingerprint(rule.metric, '|'.join(parts), canonical(rule.where)):016x}"


class Ring:
    """Buckets of one entity, each at the place that its time has in the ring.

    Args:
        chunks: Length, in chunks.
    """

    def __init__(self, chunks: int) -> None:
        length = chunks * CHUNK_BUCKETS
        self._starts = array("q", [-1]) * length
        self._counts = array("q", [0]) * length
        self._values = array("d", [0.0]) * length
        self._wholes = array("d", [0.0]) * length
        self.newest_ms = -1
        self.first_ms = -1
        """Of the first bucket that it was ever given."""

        self._sums: dict[tuple[int, int], tuple[float, float]] = {}

    def put(self, bucket: MemoryBucket) -> bool:
        """Takes a bucket, unless it or a later one has its place. Says whether it did."""
        place = bucket.start_ms // BUCKET_MS % len(self._starts)
        if self._starts[place] >= bucket.start_ms:
            return False
        self._starts[place], self._counts[place] = bucket.start_ms, bucket.n
        self._values[place], self._wholes[place] = bucket.value, bucket.whole
        self.newest_ms = max(self.newest_ms, bucket.start_ms)
        self.first_ms = bucket.start_ms if self.first_ms < 0 else min(self.first_ms, bucket.start_ms)
        self._sums.clear()
        return True

    def over(self, from_ms: int, to_ms: int) -> list[MemoryBucket]:
        """The buckets that start in `[from_ms, to_ms)`, those that are known."""
        found = []
        for start_ms in range(from_ms, to_ms, BUCKET_MS):
            place = start_ms // BUCKET_MS % len(self._starts)
            if self._starts[place] == start_ms:
                n, value, whole = self._counts[place], self._values[place], self._wholes[place]
                found.append(MemoryBucket(start_ms=start_ms, n=n, value=value, whole=whole))
        return found

    def columns(self, from_ms: int, to_ms: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Counts and values of all buckets of a span, zeros of those that are not known."""
        wanted = np.arange(from_ms, to_ms, BUCKET_MS)
        places = wanted // BUCKET_MS % len(self._starts)
        known = np.frombuffer(self._starts, np.int64)[places] == wanted
        counts = np.where(known, np.frombuffer(self._counts, np.int64)[places], 0)
        return counts, np.where(known, np.frombuffer(self._values)[places], 0.0)

    def sums(self, from_ms: int, to_ms: int) -> tuple[float, float]:
        """What the buckets of a span add up to: what went wrong, and everything. Equal spans are added up once."""
        known = self._sums.get((from_ms, to_ms))
        if known is None:
            length = len(self._starts)
            starts = range(from_ms, to_ms, BUCKET_MS)
            places = [place for one in starts if self._starts[place := one // BUCKET_MS % length] == one]
            known = sum(self._values[place] for place in places), sum(self._wholes[place] for place in places)
            self._sums[from_ms, to_ms] = known
        return known

    @property
    def size_bytes(self) -> int:
        """What its buckets take in memory."""
        columns = (self._starts, self._counts, self._values, self._wholes)
        return sum(len(column) * column.itemsize for column in columns)


@dataclass(slots=True)
class _OfRule:
    basis: str
    chunks: int
    rings: dict[Entity, Ring] = field(default_factory=dict)


class Memory:
    """Rings by rule and entity."""

    def __init__(self) -> None:
        self._rules: dict[str, _OfRule] = {}

    def apply_rules(self, rules: Iterable[Remembering]) -> None:
        """The rules that remember from now on. What a rule remembered is dropped if it is gone or of another basis."""
        before, self._rules = self._rules, {}
        for rule in rules:
            basis, known = basis_of(rule), before.get(rule.id)
            # One chunk more than the rule looks back: it looks from within a chunk into the midst of another.
            chunks = -(-(rule.remembered_ms + BUCKET_MS) // CHUNK_MS) + 1
            self._rules[rule.id] = known if known is not None and known.basis == basis else _OfRule(basis, chunks)

    def restore(self, chunks: Iterable[MemoryChunk]) -> None:
        """What was remembered, in any order. Chunks of other rules, or of another basis, are passed over."""
        for chunk in chunks:
            of_rule = self._rules.get(chunk.rule)
            if of_rule is not None and of_rule.basis == chunk.basis:
                ring = _ring(of_rule, canonical(chunk.entity))
                if ring is not None:
                    for bucket in chunk.buckets:
                        ring.put(bucket)

    def note(self, rule: Remembering, buckets: Mapping[Entity, MemoryBucket]) -> list[MemoryChunk]:
        """Remembers one bucket of each entity. Returns what must be durable: nothing for buckets known already."""
        of_rule, found = self._rules[rule.id], []
        oldest_ms = max((one.start_ms for one in buckets.values()), default=0) - of_rule.chunks * CHUNK_MS
        of_rule.rings = {entity: ring for entity, ring in of_rule.rings.items() if ring.newest_ms > oldest_ms}
        for entity in sorted(buckets):
            ring, bucket = _ring(of_rule, entity), buckets[entity]
            if ring is not None and ring.put(bucket):
                from_ms = bucket.start_ms - bucket.start_ms % CHUNK_MS
                hour = ring.over(from_ms, from_ms + CHUNK_MS)
                slot = from_ms // CHUNK_MS % of_rule.chunks
                found.append(
                    MemoryChunk(rule=rule.id, entity=dict(entity), basis=of_rule.basis, slot=slot, buckets=hour)
                )
        return found

    def rings(self, rule: Remembering) -> Mapping[Entity, Ring]:
        """What is remembered of each entity."""
        return self._rules[rule.id].rings

    def ring(self, rule: Remembering, entity: Entity) -> Ring | None:
        """What is remembered of an entity; None: nothing."""
        return self.rings(rule).get(entity)

    def before(self, rule: ChangeRule, ago_ms: int, entity: Entity, at_ms: int) -> float | None:
        """The rule's aggregate so long before a time, over whole buckets; None where one of them is not known."""
        ring = self.ring(rule, entity)
        to_ms = at_ms - at_ms % BUCKET_MS - ago_ms
        buckets = ring.over(to_ms - rule.over_ms, to_ms) if ring is not None else []
        if len(buckets) < rule.over_ms // BUCKET_MS:
            return None
        if rule.aggregate == "avg":
            return sum(one.value for one in buckets) / sum(one.n for one in buckets)
        return (min if rule.aggregate == "min" else max)(one.value for one in buckets)


def _ring(of_rule: _OfRule, entity: Entity) -> Ring | None:
    ring = of_rule.rings.get(entity)
    most = min(MAX_ENTITIES, MAX_BUCKETS // (of_rule.chunks * CHUNK_BUCKETS))
    if ring is None and len(of_rule.rings) < most:
        ring = of_rule.rings[entity] = Ring(of_rule.chunks)
    return ring
