"""Brings a ClickHouse to the tables and views that this program needs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from connect.clickhouse import Store
from schemas.errors import BadSettings

_FOLDER = files("sinks.clickhouse") / "migrations"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of statements."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file."""
        return sha256(self.sql.encode()).hexdigest()

    def statements(self) -> Iterator[str]:
        """Its statements, without comment lines. A statement ends with a semicolon at the end of a line."""
        lines = [line for line in self.sql.splitlines() if not line.startswith("--")]
        for statement in re.split(r";\s*(?:\n|\Z)", "\n".join(lines)):
            if statement.strip():
                yield statement.strip()


def migrations() -> list[Migration]:
    """All of them, by number."""
    found = []
    for file in _FOLDER.iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            found.append(Migration(int(match[1]), file.name, file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.number)


def migrate(store: Store) -> list[str]:
    """Runs what has not been run; the names of it. Safe to run again, and after a crash in the middle.

    Raises:
        BadSettings: When an applied file was changed since, or the database is newer than this program.
        StoreUnavailable: When ClickHouse is away.
    """
    store.command("CREATE DATABASE IF NOT EXISTS watchkeeper_store")
    store.command(
        "CREATE TABLE IF NOT EXISTS watchkeeper_store.migrations"
        " (number UInt32, name String, checksum String, applied_at DateTime64(3) DEFAULT now64(3))"
        " ENGINE = ReplacingMergeTree ORDER BY number"
    )
    rows = store.rows("SELECT number, name, checksum FROM watchkeeper_store.migrations FINAL")
    applied = {int(number): (str(name), str(checksum)) for number, name, checksum in rows}
    known = {migration.number: migration for migration in migrations()}
    newer = sorted(set(applied) - set(known))
    if newer:
        raise BadSettings(
            f"This database was made by a newer Watchkeeper (migration {newer[-1]}). Install that version."
        )
    for number, (name, checksum) in applied.items():
        if known[number].checksum != checksum:
            raise BadSettings(f"Migration {name} was changed after it was applied. Put it back, and add a new one.")
    return [_apply(store, migration) for number, migration in sorted(known.items()) if number not in applied]


def _apply(store: Store, migration: Migration) -> str:
    for statement in migration.statements():
        store.command(statement)
    store.insert(
        "watchkeeper_store.migrations",
        {"number": [migration.number], "name": [migration.name], "checksum": [migration.checksum]},
    )
    return migration.name
