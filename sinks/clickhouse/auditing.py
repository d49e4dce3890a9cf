"""Rounds of audits: which hours are due, what was found of them, and where that is put down."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connect.clickhouse import Store
from engine.audit import Calendar, Hour
from schemas.topics import INPUTS
from sinks.clickhouse.audit import BOUNDS, Audit, Auditor, Waiting
from sinks.clickhouse.migrate import Retention
from sinks.clickhouse.tiers import HOURS, MINUTES

TOPICS = tuple(topic.name for topic in INPUTS)
TABLE = "watchkeeper_store.audits"
DAY_MS = 86_400_000

OVERLAP_MS = 60_000
"""So far back a round looks for records that were on their way into ClickHouse during the last one."""

AFTER_S = 600
"""Most of what comes late has come so long after the end of its hour."""

_NOW = "SELECT toUnixTimestamp64Milli(now64(3))"
_FIRST = "SELECT toUnixTimestamp64Milli(min(at)) FROM watchkeeper_store.arrivals HAVING count() > 0"
_AUDITED = """
SELECT toString(topic), toUnixTimestamp64Milli(hour), ver, mismatches, toUnixTimestamp64Milli(checked_at)
FROM watchkeeper_store.audits FINAL
WHERE size_ms = {size_ms:UInt64} AND hour >= fromUnixTimestamp64Milli({oldest_ms:Int64}, 'UTC')
"""
# The version of an hour's rollups. Tiers keep the sums of `ver`, so the coarsest that is fine enough tells it.
_VERSIONS = """
SELECT intDiv(toUnixTimestamp64Milli(window_start), {size_ms:Int64}) * {size_ms:Int64} AS start_ms, sum(ver)
FROM watchkeeper_store.{tier:Identifier} FINAL
WHERE rollup = {rollup:String} AND window_start >= fromUnixTimestamp64Milli({oldest_ms:Int64}, 'UTC')
GROUP BY start_ms
"""
_TOUCHED = """
SELECT DISTINCT toString(topic), arrayJoin(arrayConcat(
    range(intDiv(first_ms, {size_ms:Int64}), intDiv(last_ms, {size_ms:Int64}) + 1),
    range(
        intDiv(greatest(first_ms + shift_ms, 0), {size_ms:Int64}),
        intDiv(greatest(last_ms + shift_ms, 0), {size_ms:Int64}) + 1
    )
)) * {size_ms:Int64}
FROM watchkeeper_store.arrivals
WHERE source != '' AND stored_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was put down of an hour before."""

    ver: int
    mismatches: int


@dataclass(slots=True)
class Round:
    """What one round did.

    Attributes:
        waiting: Hours of which not all is there yet, and why.
        fresh: Mismatches that were not known before.
        mismatches: Series that differ in any hour that is kept.
        newest_ms: End of the newest hour that was audited; None: none was yet.
    """

    audits: list[Audit]
    waiting: dict[Hour, str]
    fresh: int = 0
    mismatches: int = 0
    newest_ms: int | None = None


class Auditing:
    """Audits hours of all input topics.

    Args:
        size_ms: Length of an hour; whole minutes.
        grace_ms: How long after its end an hour is left alone.
        epochs: The present incarnation of each topic.
    """

    def __init__(
        self, store: Store, *, size_ms: int, grace_ms: int, epochs: Mapping[str, str], retention: Retention
    ) -> None:
        # The last day of what is kept may be going.
        kept_ms = (min(retention.days_raw, retention.days_10s) - 1) * DAY_MS
        self.calendar = Calendar(size_ms=size_ms, grace_ms=grace_ms, kept_ms=kept_ms)
        self._store = store
        self._tier = HOURS if size_ms % HOURS.size_ms == 0 else MINUTES
        self._auditor = Auditor(store, size_ms=size_ms, epochs=epochs)
        self._since_ms: int | None = None
        self._touched_waiting: set[Hour] = set()

    def round(self, now_ms: int | None = None) -> Round:
        """Audits what is due.

        Args:
            now_ms: The present time, epoch milliseconds; None: as ClickHouse's clock has it.

        Raises:
            StoreUnavailable: ClickHouse is away, or gave up.
        """
        [(server_ms,)] = self._store.rows(_NOW)
        now_ms = server_ms if now_ms is None else now_ms
        oldest_ms = now_ms - self.calendar.kept_ms
        known, checked_ms = self._known(oldest_ms)
        since_ms = (checked_ms if self._since_ms is None else self._since_ms) - OVERLAP_MS
        versions = self._versions(oldest_ms)
        touched = self._touched(max(0, since_ms)) | self._touched_waiting
        due = [
            hour
            for (first_ms,) in self._store.rows(_FIRST)
            for hour in self.calendar.due(
                TOPICS,
                first_ms=first_ms,
                now_ms=now_ms,
                audited={hour: one.ver for hour, one in known.items()},
                versions=versions,
                touched=touched,
            )
        ]
        done = self._audited(due, oldest_ms=oldest_ms, known=known, versions=versions, checked_ms=server_ms)
        self._since_ms, self._touched_waiting = server_ms, touched & done.waiting.keys()
        return done

    def between(self, from_ms: int, to_ms: int, now_ms: int | None = None) -> Round:
        """Audits all closed hours that a range touches. Raises as `round`.

        Hours before the first record came are left out where there is no row of them.
        """
        [(server_ms,)] = self._store.rows(_NOW)
        now_ms = server_ms if now_ms is None else now_ms
        closed = self.calendar.range(0, now_ms)
        first_ms = max(closed.start, self.calendar.start_of(from_ms))
        starts_ms = range(first_ms, min(to_ms, closed.stop), self.calendar.size_ms)
        oldest_ms = now_ms - self.calendar.kept_ms
        known, _ = self._known(oldest_ms)
        versions = self._versions(oldest_ms)
        came_ms = min((self.calendar.start_of(at_ms) for (at_ms,) in self._store.rows(_FIRST)), default=now_ms)
        some_ms = [start_ms for start_ms in starts_ms if start_ms >= came_ms or start_ms in versions]
        hours = [Hour(topic, start_ms) for start_ms in some_ms for topic in TOPICS]
        return self._audited(hours, oldest_ms=oldest_ms, known=known, versions=versions, checked_ms=server_ms)

    def _audited(
        self,
        hours: Iterable[Hour],
        *,
        oldest_ms: int,
        known: dict[Hour, Known],
        versions: Mapping[int, int],
        checked_ms: int,
    ) -> Round:
        done = Round([], {})
        for hour in hours:
            try:
                found = self._auditor.audit(hour, oldest_ms=oldest_ms)
            except Waiting as waiting:
                done.waiting[hour] = str(waiting)
                continue
            ver, before = versions.get(hour.start_ms, 0), known.get(hour)
            self._put_down(found, ver, checked_ms)
            known[hour] = Known(ver=ver, mismatches=found.mismatches)
            done.audits.append(found)
            done.fresh += max(0, found.mismatches - (before.mismatches if before else 0))
        done.mismatches = sum(one.mismatches for one in known.values())
        done.newest_ms = max((hour.start_ms + self.calendar.size_ms for hour in known), default=None)
        return done

    def _known(self, oldest_ms: int) -> tuple[dict[Hour, Known], int]:
        """What was put down, and when the last round began by the clock of ClickHouse."""
        rows = self._rows(_AUDITED, oldest_ms=oldest_ms)
        known = {Hour(topic, start_ms): Known(ver=ver, mismatches=count) for topic, start_ms, ver, count, _ in rows}
        return known, max((checked_ms for *_, checked_ms in rows), default=0)

    def _versions(self, oldest_ms: int) -> dict[int, int]:
        tier = {"tier": f"rollups_{self._tier.name}", "rollup": self._tier.rollup}
        return dict(self._rows(_VERSIONS, oldest_ms=oldest_ms, **tier))

    def _touched(self, since_ms: int) -> set[Hour]:
        return {Hour(*row) for row in self._rows(_TOUCHED, since_ms=since_ms)}

    def _rows(self, sql: str, **given: Any) -> list[tuple[Any, ...]]:
        return self._store.rows(sql + BOUNDS, {"size_ms": self.calendar.size_ms, **given})

    def _put_down(self, found: Audit, ver: int, checked_ms: int) -> None:
        first = found.told[0] if found.told else None
        row = {
            "size_ms": self.calendar.size_ms,
            "hour": found.hour.start_ms,
            "topic": found.hour.topic,
            "result": found.result.value,
            "reason": found.reason,
            "series": found.series,
            "repeats": found.repeats,
            "mismatches": found.mismatches,
            "metric": first.metric if first else "",
            "source": first.source if first else "",
            "found": first.told() if first else "",
            "ver": ver,
            "checked_at": checked_ms,
        }
        self._store.insert(TABLE, {name: [value] for name, value in row.items()})


def sentences(found: Audit) -> Iterator[str]:
    """What differs, one sentence for each series that is told."""
    for one in found.told:
        series = f", series {one.series:016x}" if one.series else ""
        yield f"{found.hour.topic}: {one.metric} of {one.source}{series}: {one.told()}"


def remedy(hour: Hour, size_ms: int) -> str:
    """The command that tells where something of an hour was lost."""
    from_s, to_s = hour.start_ms // 1000, (hour.start_ms + size_ms) // 1000 + AFTER_S
    begin, end = (datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for second in (from_s, to_s))
    return f"watchkeeper ledger --topic {hour.topic} --from {begin} --to {end}"
