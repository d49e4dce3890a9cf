"""Side tables: what replays made of the past, beside what was made of it then. The live tables are only read."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from connect.clickhouse import Store
from schemas.alerts import Transition
from schemas.columns import Columns
from schemas.errors import BadSettings
from sinks.clickhouse.rollups import COLUMNS, native_rows
from sinks.clickhouse.rows import TRANSITION_COLUMNS, transition_row

DATABASE = "watchkeeper_replay"
MAX_ROWS = 20_000
"""Rollup rows that wait for each other before they are inserted."""

SERIES_CHARACTERS = 32 / 3
"""Of column `series` for each row: 8 bytes in base64."""

DAY_MS = 86_400_000
_KINDS = ("rollups", "transitions")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_REPLAYS = f"""
CREATE TABLE IF NOT EXISTS {DATABASE}.replays
(
    name        String,
    made_at     DateTime64(3, 'UTC'),
    from_at     DateTime64(3, 'UTC'),
    to_at       DateTime64(3, 'UTC'),
    window_ms   UInt32,
    lateness_ms UInt32,
    rules       String,
    log         String
)
ENGINE = ReplacingMergeTree(made_at) ORDER BY name
SETTINGS non_replicated_deduplication_window = 0
"""
_LIST = f"""
SELECT
    t.name AS name, toUnixTimestamp64Milli(r.made_at), toUnixTimestamp64Milli(r.from_at),
    toUnixTimestamp64Milli(r.to_at), r.window_ms, r.lateness_ms, r.rules, r.log, t.rows, t.transitions, t.size
FROM
(
    SELECT
        replaceRegexpOne(name, '_(rollups|transitions)$', '') AS name,
        sumIf(total_rows, endsWith(system.tables.name, '_rollups')) AS rows,
        sumIf(total_rows, endsWith(system.tables.name, '_transitions')) AS transitions,
        sum(total_bytes) AS size
    FROM system.tables WHERE database = '{DATABASE}' AND match(system.tables.name, '_(rollups|transitions)$')
    GROUP BY ALL
) AS t
LEFT JOIN (SELECT * FROM {DATABASE}.replays FINAL) AS r ON r.name = t.name
ORDER BY name
"""  # noqa: S608  (put together from constants)


class Replay(NamedTuple):
    """A replay that was made. One that was cut off has no times.

    Attributes:
        rules: Where they were from.
        log: Where the records were from.
    """

    name: str
    made_ms: int
    from_ms: int
    to_ms: int
    window_ms: int
    lateness_ms: int
    rules: str
    log: str
    rollups: int = 0
    transitions: int = 0
    size_bytes: int = 0


def checked_name(name: str) -> str:
    """The name of a replay.

    Raises:
        BadSettings: It cannot be the name of a table.
    """
    if not _NAME.fullmatch(name):
        raise BadSettings(f"--name {name!r}: use 1 to 60 of a-z, 0-9 and _, beginning with a letter")
    return name


def replays(store: Store) -> list[Replay]:
    """Every replay that has tables.

    Raises:
        StoreUnavailable: ClickHouse is away.
        StoreRefused: It does not take a statement.
    """
    if not store.rows("SELECT 1 FROM system.databases WHERE name = {name:String}", {"name": DATABASE}):
        return []
    return [Replay(*row) for row in store.rows(_LIST)]


def drop(store: Store, name: str) -> bool:
    """Drops the tables of a replay; whether there were any. Raises as `replays`."""
    known = any(one.name == name for one in replays(store))
    if known:
        for kind in _KINDS:
            store.command(f"DROP TABLE IF EXISTS {DATABASE}.{checked_name(name)}_{kind} SYNC")
    return known


class Side:
    """The side tables of one replay, which are made empty.

    Raises:
        BadSettings: There is one of this name, and it is not to be replaced.
        StoreUnavailable: ClickHouse is away.
        StoreRefused: It does not take a statement.
    """

    def __init__(self, store: Store, name: str, *, replace: bool) -> None:
        self._store = store
        self.rollups, self.transitions = (f"{DATABASE}.{checked_name(name)}_{kind}" for kind in _KINDS)
        self._rollups: list[Columns] = []
        self._transitions: list[Transition] = []
        self._day = 0
        if any(one.name == name for one in replays(store)) and not replace:
            raise BadSettings(f"there is a replay {name}: take another --name, or --replace")
        drop(store, name)
        store.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        store.command(_REPLAYS)
        # With everything: the order of rows, what replaces what, and when rows expire.
        store.command(f"CREATE TABLE {self.rollups} AS watchkeeper_store.rollups")
        store.command(f"CREATE TABLE {self.transitions} AS watchkeeper_store.transitions")

    def add(self, rollups: Sequence[Columns], transitions: Sequence[Transition], *, at_ms: int) -> None:
        """Takes rows in that were made at a time of the log. Raises as `replays`."""
        waiting = sum(len(one.series) for one in self._rollups) / SERIES_CHARACTERS
        if at_ms // DAY_MS != self._day or waiting >= MAX_ROWS:
            # A row's window is near the time that it came, so that one insert never has rows of too many days.
            self.flush()
            self._day = at_ms // DAY_MS
        self._rollups += rollups
        self._transitions += transitions

    def flush(self) -> None:
        """Inserts what waits. Raises as `replays`."""
        if self._rollups:
            self._store.insert_native(self.rollups, COLUMNS, native_rows(self._rollups))
        if self._transitions:
            rows = zip(*map(transition_row, self._transitions), strict=True)
            self._store.insert(self.transitions, dict(zip(TRANSITION_COLUMNS, rows, strict=True)))
        self._rollups, self._transitions = [], []

    def done(self, replay: Replay) -> None:
        """Everything is there. Raises as `replays`."""
        self.flush()
        names = ("name", "made_at", "from_at", "to_at", "window_ms", "lateness_ms", "rules", "log")
        columns = {name: [value] for name, value in zip(names, replay, strict=False)}
        self._store.insert(f"{DATABASE}.replays", columns)
