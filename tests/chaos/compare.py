"""What ClickHouse holds beside what the log says: every series and window, every sample, every dead letter."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from connect.clickhouse import Store
from tests.chaos.load import PREFIX
from tests.chaos.log import TOPIC, Log
from tests.chaos.oracle import Key, Total

K = TypeVar("K", bound=Hashable)
_ROLLUPS = """
SELECT source, series, toUnixTimestamp64Milli(window_start), sum(n), sum(sum), sum(h_sum), groupBitXor(h_xor)
FROM watchkeeper_store.rollups FINAL WHERE topic = {topic:String} AND epoch = {epoch:String}
GROUP BY source, series, window_start
"""
_RAW = "SELECT source, count() FROM watchkeeper_store.samples FINAL WHERE epoch = {epoch:String} GROUP BY source"
_LETTERS = """
SELECT partition, offset, reasons FROM watchkeeper.deadletters
WHERE topic = {topic:String} AND epoch = {epoch:String}
"""
_FINE = """
SELECT series, toStartOfMinute(window_start) AS at, sum(n), sum(h_sum), groupBitXor(h_xor)
FROM watchkeeper_store.rollups FINAL WHERE startsWith(source, {prefix:String}) GROUP BY series, at
"""
_COARSE = """
SELECT series, window_start, sum(n), sum(h_sum), groupBitXor(h_xor)
FROM watchkeeper_store.rollups_1m FINAL WHERE startsWith(source, {prefix:String}) GROUP BY series, window_start
"""


@dataclass(frozen=True, slots=True)
class Gap:
    """How many are missing, and how many are there too often or should not be there."""

    lost: int = 0
    double: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Between the log and ClickHouse.

    Attributes:
        windows: Series and windows that were compared.
        samples: That the log holds in them.
        rolled_up: Of those samples.
        unequal: Series and windows of as many samples as they should be, but of others.
        raw: Samples that are stored one by one.
        letters: Dead letters; one with other reasons is missing.
    """

    windows: int
    samples: int
    rolled_up: Gap
    unequal: int
    raw: Gap
    letters: Gap

    @property
    def lost(self) -> int:
        """All that is missing, or not what it should be."""
        return self.rolled_up.lost + self.unequal + self.raw.lost + self.letters.lost

    @property
    def double(self) -> int:
        """All that is too much."""
        return self.rolled_up.double + self.raw.double + self.letters.double


def differences(log: Log, store: Store, *, before_ms: int) -> Differences:
    """Compares all that stands in the log and is over.

    Args:
        before_ms: Only our load is over. Of others only windows that end before this time are.

    Raises:
        StoreUnavailable: ClickHouse is away.
    """
    sources = log.sources()

    def over(key: Key, source: str) -> bool:
        return source.startswith(PREFIX) or key[1] + log.rules.window_ms <= before_ms

    want = {key: total for key, total in log.totals().items() if over(key, sources[key[0]])}
    have = {key: total for key, (source, total) in stored(store, log.rules.epoch).items() if over(key, source)}
    same_count = [key for key in want.keys() & have.keys() if want[key].n == have[key].n]
    return Differences(
        windows=len(want),
        samples=sum(total.n for total in want.values()),
        rolled_up=_gap({key: total.n for key, total in want.items()}, {key: total.n for key, total in have.items()}),
        unequal=sum(not _same(want[key], have[key]) for key in same_count),
        raw=_gap(_ours(log.raw()), _ours(dict(store.rows(_RAW, {"epoch": log.rules.epoch})))),
        letters=_letters(log, store),
    )


def stored(store: Store, epoch: str) -> dict[Key, tuple[str, Total]]:
    """By series and window: the source, and what ClickHouse holds of one incarnation of the topic."""
    rows = store.rows(_ROLLUPS, {"topic": TOPIC, "epoch": epoch})
    return {(series, start_ms): (source, Total(*total)) for source, series, start_ms, *total in rows}


def unequal_minutes(store: Store) -> int:
    """Minutes of our load's series that are not what their windows add up to."""
    given = {"prefix": PREFIX}
    fine, coarse = set(store.rows(_FINE, given)), set(store.rows(_COARSE, given))
    return len(fine ^ coarse)


def _letters(log: Log, store: Store) -> Gap:
    want = log.refused()
    rows = store.rows(_LETTERS, {"topic": TOPIC, "epoch": log.rules.epoch})
    right = sum(want.get((partition, offset)) == list(reasons) for partition, offset, reasons in rows)
    return Gap(lost=len(want) - right, double=len(rows) - right)


def _gap(want: Mapping[K, int], have: Mapping[K, int]) -> Gap:
    keys = want.keys() | have.keys()
    more = [have.get(key, 0) - want.get(key, 0) for key in keys]
    return Gap(lost=-sum(one for one in more if one < 0), double=sum(one for one in more if one > 0))


def _ours(by_source: Mapping[str, int]) -> dict[str, int]:
    return {source: count for source, count in by_source.items() if source.startswith(PREFIX)}


def _same(one: Total, other: Total) -> bool:
    """Equal hashes; sums equal but for the order of additions."""
    hashes = (one.h_sum, one.h_xor) == (other.h_sum, other.h_xor)
    return hashes and abs(one.total - other.total) <= 1e-9 * max(abs(one.total), 1.0)
