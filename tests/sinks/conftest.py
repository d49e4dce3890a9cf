"""Our tables in the module's ClickHouse, emptied for each test; a broker of its own for each test that asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from sinks.clickhouse.migrate import migrate
from tests.conftest import free_port
from watchkeeper.embedded.broker import EmbeddedBroker


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


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaConfig]:
    service = EmbeddedBroker(free_port(), tmp_path / "broker.log")
    service.start()
    yield KafkaConfig(bootstrap=service.address, idempotent=False)
    service.stop(5.0)
