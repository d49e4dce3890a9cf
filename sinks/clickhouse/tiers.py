"""The coarser tiers: buckets that rows touched are computed anew; only then the offsets of the rows count."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from string import Template

from connect.clickhouse import Store
from connect.kafka import TopicPartition
from schemas.rollups import ROLLUP_10S
from sinks.clickhouse.metrics import Metrics
from sinks.clickhouse.writer import Writer

_TEMPLATE = Template((files("sinks.clickhouse") / "recompute.sql").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A tier, and the finer one that it is computed from.

    Attributes:
        rollup: Definition and version of its rows. A changed computation is a new version.
        most: Buckets in one statement.
    """

    name: str
    rollup: str
    size_ms: int
    finer: str
    finer_rollup: str
    identity: str
    most: int

    def sql(self) -> str:
        """The statement that computes the buckets of a range anew."""
        words = {
            "table": f"rollups_{self.name}",
            "rollup": self.rollup,
            "size_ms": str(self.size_ms),
            "finer": self.finer,
            "finer_rollup": self.finer_rollup,
            "identity": self.identity,
        }
        return _TEMPLATE.substitute(words)

    def bucket(self, at_ms: int) -> int:
        """Start of the bucket that holds a time."""
        return at_ms - at_ms % self.size_ms

    def ranges(self, buckets_ms: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Neighbouring buckets as ranges: first start, last end, both in epoch milliseconds."""
        first = last = -1
        for start in sorted(set(buckets_ms)):
            if first >= 0 and start == last and last - first < self.most * self.size_ms:
                last = start + self.size_ms
                continue
            if first >= 0:
                yield first, last
            first, last = start, start + self.size_ms
        if first >= 0:
            yield first, last


MINUTES = Tier(
    name="1m",
    rollup="1m.v1",
    size_ms=60_000,
    finer="rollups",
    finer_rollup=ROLLUP_10S,
    identity="(r.window_start, r.topic, r.epoch, r.partition, r.segment)",
    most=60,
)
HOURS = Tier(
    name="1h",
    rollup="1h.v1",
    size_ms=3_600_000,
    finer="rollups_1m",
    finer_rollup="1m.v1",
    identity="r.window_start",
    most=24,
)
DAYS = Tier(
    name="1d",
    rollup="1d.v1",
    size_ms=86_400_000,
    finer="rollups_1h",
    finer_rollup="1h.v1",
    identity="r.window_start",
    most=31,
)
TIERS = (MINUTES, HOURS, DAYS)


def recompute(store: Store, tier: Tier, from_ms: int, to_ms: int) -> None:
    """Computes the buckets of a range anew. Safe to repeat, at any time, and beside another sink.

    Raises:
        StoreUnavailable: The same call may succeed later.
        StoreRefused: It will not.
    """
    store.command(tier.sql(), parameters={"from_ms": from_ms, "to_ms": to_ms})


class Tiers:
    """Remembers which buckets are to be computed anew, and the offsets that wait for that."""

    def __init__(self, writer: Writer, metrics: Metrics) -> None:
        self._writer = writer
        self._metrics = metrics
        self._dirty: dict[Tier, set[int]] = {tier: set() for tier in TIERS}
        self._waiting: dict[TopicPartition, int] = {}
        self._lock = asyncio.Lock()

    def stored(self, windows_ms: Iterable[int], offsets: dict[TopicPartition, int]) -> None:
        """Rows of these windows were acknowledged; with them, every record below these offsets."""
        self._dirty[MINUTES].update(map(MINUTES.bucket, windows_ms))
        self._waiting.update(offsets)

    def forget(self) -> None:
        """Drops the offsets: their partitions are no longer ours. The buckets are computed all the same."""
        self._waiting.clear()

    async def refresh(self, *, all_tiers: bool) -> dict[TopicPartition, int]:
        """Computes what was touched: the minutes, or all tiers. The offsets that count from now on.

        Raises:
            StoreRefused: ClickHouse will never take the statement.
        """
        async with self._lock:
            # Taken before the buckets are: rows that come meanwhile touch them again.
            waiting = dict(self._waiting)
            await self._refresh(MINUTES, HOURS)
            if not all_tiers:
                return {}
            await self._refresh(HOURS, DAYS)
            await self._refresh(DAYS, None)
            self._waiting = {tp: offset for tp, offset in self._waiting.items() if waiting.get(tp) != offset}
            return waiting

    async def _refresh(self, tier: Tier, coarser: Tier | None) -> None:
        starts, self._dirty[tier] = self._dirty[tier], set()
        try:
            for from_ms, to_ms in tier.ranges(starts):
                await self._writer.patiently(lambda: recompute(self._writer.store, tier, from_ms, to_ms))  # noqa: B023
        except BaseException:
            # Given up in the middle, as when the process stops: whoever goes on must do all of it.
            self._dirty[tier] |= starts
            raise
        self._metrics.buckets.labels(tier.name).inc(len(starts))
        if coarser is not None:
            self._dirty[coarser].update(map(coarser.bucket, starts))
