"""Our tables in the module's ClickHouse, emptied for each test."""

from collections.abc import Iterator

import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig
from sinks.clickhouse.migrate import migrate


@pytest.fixture
def empty_store(clickhouse: ClickHouseConfig) -> Iterator[Store]:
    """Without our databases."""
    store = Store(clickhouse)
    for database in ("watchkeeper", "watchkeeper_store"):
        store.command(f"DROP DATABASE IF EXISTS {database}")
    yield store
    store.close()


@pytest.fixture
def store(empty_store: Store) -> Store:
    """With our tables and views, empty."""
    migrate(empty_store)
    return empty_store


@pytest.fixture(scope="module")
def _migrated(clickhouse: ClickHouseConfig) -> Iterator[Store]:
    store = Store(clickhouse)
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def cleared(_migrated: Store) -> Store:
    """With our tables and views, which are made once for all tests of a module that leave them as they are; empty."""
    names = "SELECT name FROM system.tables WHERE database = 'watchkeeper_store' AND engine LIKE '%MergeTree'"
    for (name,) in _migrated.rows(f"{names} AND name != 'migrations'"):
        _migrated.command(f"TRUNCATE TABLE watchkeeper_store.{name}")
    return _migrated
