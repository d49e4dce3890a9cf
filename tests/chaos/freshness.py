"""How far ClickHouse is behind the load."""

from contextlib import suppress

from schemas.errors import StoreUnavailable
from tests.chaos.load import wall_ms
from tests.chaos.stage import Stage

_ROLLED_UP = """
SELECT min(newest), count() FROM
(
    SELECT source, max(toUnixTimestamp64Milli(last_at)) AS newest FROM watchkeeper_store.rollups
    WHERE startsWith(source, {prefix:String}) GROUP BY source
)
"""
_RAW = """
SELECT min(newest), count() FROM
(
    SELECT source, max(toUnixTimestamp64Milli(at)) AS newest FROM watchkeeper_store.samples
    WHERE startsWith(source, {prefix:String}) GROUP BY source
)
"""


class Freshness:
    """Asks for the source of our load that is furthest behind."""

    def __init__(self, stage: Stage) -> None:
        assert stage.load is not None
        self._store = stage.store
        self._load = stage.load
        self._since_ms = wall_ms()
        self.worst_s = 0.0

    def oldest_ms(self) -> int:
        """Time of the newest sample that is stored of the source that is furthest behind, raw and rolled up.

        0 while some source has none, or ClickHouse is away.
        """
        found = []
        for sql in (_ROLLED_UP, _RAW):
            with suppress(StoreUnavailable):
                oldest_ms, sources = self._store.rows(sql, {"prefix": self._load.prefix})[0]
                found.append(int(oldest_ms) if sources == self._load.rate.sources else 0)
        return min(found) if len(found) == 2 else 0

    def behind_s(self) -> float:
        """How old that sample is; counted from our first look where there is none."""
        return (wall_ms() - max(self.oldest_ms(), self._since_ms)) / 1000

    def fresh(self, within_s: float) -> bool:
        """Whether every source's newest sample that is stored is so young."""
        return wall_ms() - self.oldest_ms() < within_s * 1000

    def look(self) -> None:
        """Notes how far it is behind now."""
        self.worst_s = max(self.worst_s, self.behind_s())
