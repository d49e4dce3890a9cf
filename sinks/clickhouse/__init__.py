"""Rollups, alerts and events into ClickHouse."""
