"""What rules that look far back remember of each entity: the level of each five minutes, in a ring.

A ring is as long as its rule looks back. It is written to `alerts.state` an hour at a time, under keys that come round
with the ring, so that compaction bounds the topic as the ring bounds the process.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.combine import Combined
from engine.held import Entity
from schemas.alerts import BUCKET_MS, MemoryBucket, MemoryChunk
from schemas.dimensions import canonical, fingerprint
from schemas.rules import ChangeRule

CHUNK_BUCKETS = 12
CHUNK_MS = CHUNK_BUCKETS * BUCKET_MS
MAX_ENTITIES = 2_000
"""Of one rule. Of those beyond nothing is remembered, and what they are compared with is undefined."""


def basis_of(rule: ChangeRule) -> str:
    """Equal for rules that remember the same: a rule of another basis begins anew. 16 hexadecimal digits."""
    parts = (rule.aggregate, str(rule.ago_ms), str(rule.over_ms), ",".join(rule.group_by))
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
        self.newest_ms = -1

    def put(self, bucket: MemoryBucket) -> bool:
        """Takes a bucket, unless it or a later one has its place. Says whether it did."""
        place = bucket.start_ms // BUCKET_MS % len(self._starts)
        if self._starts[place] >= bucket.start_ms:
            return False
        self._starts[place], self._counts[place], self._values[place] = bucket.start_ms, bucket.n, bucket.value
        self.newest_ms = max(self.newest_ms, bucket.start_ms)
        return True

    def over(self, from_ms: int, to_ms: int) -> list[MemoryBucket]:
        """The buckets that start in `[from_ms, to_ms)`, those that are known."""
        found = []
        for start_ms in range(from_ms, to_ms, BUCKET_MS):
            place = start_ms // BUCKET_MS % len(self._starts)
            if self._starts[place] == start_ms:
                found.append(MemoryBucket(start_ms=start_ms, n=self._counts[place], value=self._values[place]))
        return found

    @property
    def size_bytes(self) -> int:
        """What its buckets take in memory."""
        return sum(len(column) * column.itemsize for column in (self._starts, self._counts, self._values))


@dataclass(slots=True)
class _OfRule:
    basis: str
    chunks: int
    rings: dict[Entity, Ring] = field(default_factory=dict)


class Memory:
    """Rings by rule and entity."""

    def __init__(self) -> None:
        self._rules: dict[str, _OfRule] = {}

    def apply_rules(self, rules: Iterable[ChangeRule]) -> None:
        """The rules that remember from now on. What a rule remembered is dropped if it is gone or of another basis."""
        before, self._rules = self._rules, {}
        for rule in rules:
            basis, known = basis_of(rule), before.get(rule.id)
            # One chunk more than the rule looks back: it looks from within a chunk into the midst of another.
            chunks = -(-(rule.ago_ms + rule.over_ms + BUCKET_MS) // CHUNK_MS) + 1
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

    def note(self, rule: ChangeRule, start_ms: int, levels: Mapping[Entity, Combined]) -> list[MemoryChunk]:
        """Remembers one bucket of each entity. Returns what must be durable: nothing for buckets known already."""
        of_rule, found = self._rules[rule.id], []
        oldest_ms = start_ms - of_rule.chunks * CHUNK_MS
        of_rule.rings = {entity: ring for entity, ring in of_rule.rings.items() if ring.newest_ms > oldest_ms}
        for entity in sorted(levels):
            ring, level = _ring(of_rule, entity), levels[entity]
            value = {"avg": level.sum, "min": level.min, "max": level.max}[rule.aggregate]
            if ring is not None and level.n and ring.put(MemoryBucket(start_ms=start_ms, n=level.n, value=value)):
                from_ms = start_ms - start_ms % CHUNK_MS
                buckets = ring.over(from_ms, from_ms + CHUNK_MS)
                slot = from_ms // CHUNK_MS % of_rule.chunks
                found.append(
                    MemoryChunk(rule=rule.id, entity=dict(entity), basis=of_rule.basis, slot=slot, buckets=buckets)
                )
        return found

    def before(self, rule: ChangeRule, entity: Entity, at_ms: int) -> float | None:
        """The rule's aggregate `ago` before a time, over whole buckets; None where one of them is not known."""
        ring = self._rules[rule.id].rings.get(entity)
        to_ms = at_ms - at_ms % BUCKET_MS - rule.ago_ms
        buckets = ring.over(to_ms - rule.over_ms, to_ms) if ring is not None else []
        if len(buckets) < rule.over_ms // BUCKET_MS:
            return None
        if rule.aggregate == "avg":
            return sum(one.value for one in buckets) / sum(one.n for one in buckets)
        return (min if rule.aggregate == "min" else max)(one.value for one in buckets)


def _ring(of_rule: _OfRule, entity: Entity) -> Ring | None:
    ring = of_rule.rings.get(entity)
    if ring is None and len(of_rule.rings) < MAX_ENTITIES:
        ring = of_rule.rings[entity] = Ring(of_rule.chunks)
    return ring
