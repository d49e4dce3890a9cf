"""The tables of ClickHouse, emptied for each test."""

from tests.sinks.conftest import _migrated, cleared

__all__ = ["_migrated", "cleared"]
