"""Brings a ClickHouse to the tables and views that this program needs, and to the retention that is wished for."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.resources import files

from connect.clickhouse import Store
from schemas.errors import BadSettings

_FILE = re.compile(r"(?P<number>\d{4})_[a-z0-9_]+\.sql")
_PLACEHOLDER = re.compile(r"\{\{(?P<name>\w+)\}\}")
_END = re.compile(r";[ \t]*(?:\n|\Z)")
MAX_DAYS = 36_500

_LEDGER = """
CREATE TABLE IF NOT EXISTS watchkeeper_store.migrations
(
    number     UInt32,
    name       String,
    checksum   String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree ORDER BY number
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How many days each kind of row is kept.

    Raises:
        BadSettings: A number that is no number of days.
    """

    days_raw: int = 35
    days_10s: int = 90
    days_1m: int = 400
    days_1h: int = 1_095
    days_1d: int = 3_650

    def __post_init__(self) -> None:
        wrong = [f"{name} = {days!r}" for name, days in asdict(self).items() if not _is_days(days)]
        if wrong:
            raise BadSettings(f"Retention must be whole days from 1 to {MAX_DAYS}; change {', '.join(wrong)}.")


def _is_days(days: object) -> bool:
    return isinstance(days, int) and not isinstance(days, bool) and 1 <= days <= MAX_DAYS


# Which setting says how long a table keeps its rows, and the column that tells their age.
_KEPT: Mapping[str, tuple[str, str]] = {
    "rollups": ("days_10s", "window_start"),
    "rollups_1m": ("days_1m", "window_start"),
    "rollups_1h": ("days_1h", "window_start"),
    "rollups_1d": ("days_1d", "window_start"),
    "samples": ("days_raw", "at"),
    "events_user": ("days_raw", "at"),
    "events_errors": ("days_raw", "at"),
    "logs": ("days_raw", "at"),
    "deadletters": ("days_raw", "refused_at"),
    "redrives": ("days_raw", "at"),
    "arrivals": ("days_raw", "at"),
    "watermarks": ("days_raw", "watermark_at"),
    "audits": ("days_1h", "hour"),
}


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of statements."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file as it stands, hexadecimal."""
        return sha256(self.sql.encode()).hexdigest()

    def statements(self, retention: Retention) -> Iterator[str]:
        """Its statements in order, without comments. A semicolon at the end of a line ends one."""
        days = {name: str(value) for name, value in asdict(retention).items()}
        code = "\n".join(line for line in self.sql.splitlines() if not line.lstrip().startswith("--"))
        for statement in _END.split(_PLACEHOLDER.sub(lambda match: days[match["name"]], code)):
            if statement.strip():
                yield statement.strip()


def migrations() -> list[Migration]:
    """All that this program has, by number."""
    found = [
        Migration(int(match["number"]), file.name, file.read_text(encoding="utf-8"))
        for file in (files("sinks.clickhouse") / "migrations").iterdir()
        if (match := _FILE.fullmatch(file.name))
    ]
    return sorted(found, key=lambda migration: migration.number)


def migrate(store: Store, retention: Retention | None = None) -> list[str]:
    """Runs what was not run yet; the names of it. Safe to repeat, beside another one, and after a crash in the middle.

    Raises:
        BadSettings: A file was changed after it was applied, or the database is newer than this program.
        StoreUnavailable: ClickHouse is away.
        StoreRefused: It does not take a statement.
    """
    wished = retention or Retention()
    known = migrations()
    store.command("CREATE DATABASE IF NOT EXISTS watchkeeper_store")
    store.command(_LEDGER)
    applied = _applied(store)
    _refuse_foreign(applied, known)
    pending = [migration for migration in known if migration.number not in applied]
    for migration in pending:
        for statement in migration.statements(wished):
            store.command(statement)
        store.insert(
            "watchkeeper_store.migrations",
            {"number": [migration.number], "name": [migration.name], "checksum": [migration.checksum]},
        )
    _keep(store, wished)
    return [migration.name for migration in pending]


def _applied(store: Store) -> dict[int, tuple[str, str]]:
    rows = store.rows("SELECT number, name, checksum FROM watchkeeper_store.migrations FINAL ORDER BY number")
    return {int(number): (str(name), str(checksum)) for number, name, checksum in rows}


def _refuse_foreign(applied: Mapping[int, tuple[str, str]], known: list[Migration]) -> None:
    """Refuses a database that this program did not make."""
    by_number = {migration.number: migration for migration in known}
    for number, (name, checksum) in applied.items():
        mine = by_number.get(number)
        if mine is None:
            raise BadSettings(
                f"The ClickHouse database was made by a newer Watchkeeper (its migration {name} is not known here):"
                " install that version or a newer one."
            )
        if mine.checksum != checksum:
            raise BadSettings(
                f"Migration {mine.name} was changed after it was applied to this ClickHouse: put the file back as it"
                " was, and write the change as a new migration."
            )


def _keep(store: Store, wished: Retention) -> None:
    """Changes the retention of tables whose retention is another one."""
    engines = dict(store.rows("SELECT name, engine_full FROM system.tables WHERE database = 'watchkeeper_store'"))
    days = asdict(wished)
    for table, (setting, column) in _KEPT.items():
        expiry = f"toDateTime({column}) + toIntervalDay({days[setting]})"
        if f"TTL {expiry}" not in engines.get(table, ""):
            store.command(f"ALTER TABLE watchkeeper_store.{table} MODIFY TTL {expiry}")
