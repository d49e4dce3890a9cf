"""Kafka and ClickHouse on this machine, for one user and one program."""
