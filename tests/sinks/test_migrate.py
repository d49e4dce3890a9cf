"""Migrations: idempotent, in order, and refused where they would meet a database of another program."""

import pytest

from connect.clickhouse import Store
from schemas.errors import BadSettings
from sinks.clickhouse import migrate as module
from sinks.clickhouse.migrate import Migration, Retention, migrate, migrations


def tables(store: Store) -> dict[str, str]:
    return dict(
        store.rows(
            "SELECT concat(database, '.', name), engine_full FROM system.tables WHERE database LIKE 'watchkeeper%'"
        )
    )


def test_an_empty_clickhouse_gets_every_table_and_view_and_a_second_run_does_nothing(empty_store: Store) -> None:
    applied = migrate(empty_store)
    before = tables(empty_store)

    assert applied == [migration.name for migration in migrations()]
    assert {"watchkeeper_store.rollups", "watchkeeper.metrics_10s", "watchkeeper.monitoring_alerts"} <= set(before)
    assert migrate(empty_store) == []
    assert tables(empty_store) == before


def test_numbers_begin_at_one_and_have_no_gaps() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_run_that_broke_off_in_the_middle_of_a_file_is_completed_by_the_next(empty_store: Store) -> None:
    empty_store.command("CREATE DATABASE watchkeeper_store")
    first = migrations()[0]
    for statement in list(first.statements(Retention()))[:2]:
        empty_store.command(statement)

    assert first.name in migrate(empty_store)
    assert len(tables(empty_store)) > 20


def test_a_changed_file_is_refused_with_the_remedy(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [Migration(one.number, one.name, one.sql + "\n-- later thoughts\n") for one in migrations()]
    monkeypatch.setattr(module, "migrations", lambda: changed)

    with pytest.raises(BadSettings, match=r"0001_rollups\.sql was changed .* put the file back"):
        migrate(store)


def test_a_database_of_a_newer_program_is_refused_with_the_remedy(store: Store) -> None:
    store.insert(
        "watchkeeper_store.migrations", {"number": [9_999], "name": ["9999_future.sql"], "checksum": ["0" * 64]}
    )

    with pytest.raises(BadSettings, match=r"newer Watchkeeper .*9999_future\.sql.* install"):
        migrate(store)


def test_retention_is_set_and_can_be_changed_later(empty_store: Store) -> None:
    migrate(empty_store, Retention(days_raw=7))
    assert "toIntervalDay(7)" in tables(empty_store)["watchkeeper_store.samples"]
    assert "toIntervalDay(90)" in tables(empty_store)["watchkeeper_store.rollups"]

    migrate(empty_store, Retention(days_raw=8, days_10s=30))
    engines = tables(empty_store)
    for table in ("samples", "events_user", "events_errors", "logs", "deadletters"):
        assert "toIntervalDay(8)" in engines[f"watchkeeper_store.{table}"], table
    assert "toIntervalDay(30)" in engines["watchkeeper_store.rollups"]
    assert "toIntervalDay(1095)" in engines["watchkeeper_store.rollups_1h"]


@pytest.mark.parametrize("days", [0, -1, 36_501, 1.5, True, "35) + sleep(3"])
def test_a_retention_that_is_no_number_of_days_is_refused(days: object) -> None:
    with pytest.raises(BadSettings, match="days_raw"):
        Retention(days_raw=days)  # type: ignore[arg-type]


def test_a_semicolon_inside_a_line_ends_no_statement_and_comments_are_left_out() -> None:
    sql = "-- one; two;\nSELECT ';' AS a;  \n  -- three;\nSELECT {{days_1m}}\n;\n"

    assert list(Migration(1, "x", sql).statements(Retention())) == ["SELECT ';' AS a", "SELECT 400"]
