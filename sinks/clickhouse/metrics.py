"""What the sink counts."""

from prometheus_client import CollectorRegistry, Counter, Histogram


class Metrics:
    """Counters of one sink."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rows = Counter(
            "watchkeeper_sink_rows", "Rows that ClickHouse acknowledged.", ["table"], registry=registry
        )
        self._seconds = Histogram("watchkeeper_sink_insert_seconds", "Time of an insert.", registry=registry)
        self.failures = Counter("watchkeeper_sink_insert_failures", "Inserts to be tried again.", registry=registry)
        self.refused = Counter("watchkeeper_sink_refused_records", "Records not stored.", ["topic"], registry=registry)
        self.paused_s = Counter("watchkeeper_sink_paused_seconds", "Time without ClickHouse.", registry=registry)

    def inserted(self, table: str, rows: int, seconds: float) -> None:
        """One statement was acknowledged."""
        self._rows.labels(table).inc(rows)
        self._seconds.observe(seconds)
