"""Prometheus metrics of the `sink` role, declared once."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from engine.audit import Result
from engine.lag import Lag, metric

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of one sink.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.rows = Counter("watchkeeper_sink_rows", "Rows that ClickHouse acknowledged.", ["table"], registry=registry)
        self.insert_seconds = Histogram(
            "watchkeeper_sink_insert_seconds",
            "How long an insert took that ClickHouse acknowledged.",
            ["table"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.failures = Counter(
            "watchkeeper_sink_failures",
            "Statements that failed: those to be tried again (transient) and those that never succeed (permanent).",
            ["family"],
            registry=registry,
        )
        for family in ("transient", "permanent"):
            self.failures.labels(family)
        self.refused = Counter(
            "watchkeeper_sink_refused",
            "Records, or rows of records, that were not stored.",
            ["topic"],
            registry=registry,
        )
        self.paused_seconds = Counter(
            "watchkeeper_sink_paused_seconds", "Time without ClickHouse, in which nothing was read.", registry=registry
        )
        self.buckets = Counter(
            "watchkeeper_sink_buckets",
            "Buckets of the coarser tiers that were computed anew.",
            ["tier"],
            registry=registry,
        )
        self.commits = Counter("watchkeeper_sink_commits", "Commits that Kafka took.", registry=registry)
        self.audit_mismatch = Counter(
            "watchkeeper_audit_mismatch",
            "Series of closed hours whose rollups do not hold what the raw rows do. Must be 0.",
            registry=registry,
        )
        self.audits = Counter(
            "watchkeeper_audit_hours", "Hours of a topic that were audited, by result.", ["result"], registry=registry
        )
        for result in Result:
            self.audits.labels(result.value)
        self.audit_seconds = Histogram(
            "watchkeeper_audit_seconds",
            "How long a round of audits took.",
            buckets=(0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0),
            registry=registry,
        )
        self.audit_failures = Counter(
            "watchkeeper_audit_failures", "Rounds of audits that were given up.", registry=registry
        )
        self.audited_until = Gauge(
            "watchkeeper_audit_newest_ms", "End of the newest hour that was audited.", registry=registry
        )
        self.audit_waiting = Gauge(
            "watchkeeper_audit_waiting_hours", "Closed hours of which not all rows are there yet.", registry=registry
        )

        self.recoveries = Counter(
            "watchkeeper_recoveries",
            "Episodes of alerts that were measured: how bad they were.",
            registry=registry,
        )
        self.recovery_failures = Counter(
            "watchkeeper_recovery_failures", "Rounds of these measurements that were given up.", registry=registry
        )

    def gauge(self, name: str, help_: str, read: Callable[[], float]) -> None:
        """A gauge that is read when asked."""
        Gauge(f"watchkeeper_sink_{name}", help_, registry=self._registry).set_function(read)

    def lag(self, topics: tuple[str, ...], read: Callable[[str], float]) -> None:
        """A gauge of unread records for each topic, read when asked."""
        gauge = Gauge(
            "watchkeeper_sink_lag_records", "Records that are not stored yet.", ["topic"], registry=self._registry
        )
        for topic in topics:
            gauge.labels(topic).set_function(lambda topic=topic: read(topic))  # type: ignore[misc]

    def behind(self, read: Callable[[], Lag]) -> None:
        """Gauges of how far behind the sink is in time, read when asked."""
        self.gauge(
            "lag_seconds", "Age of the newest record that was taken, while others wait.", lambda: metric(read().seconds)
        )
        self.gauge(
            "catch_up_seconds",
            "Time until no record waits, at the rate of late; infinite where more come than are taken.",
            lambda: metric(read().catch_up_s),
        )
