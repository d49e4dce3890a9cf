"""Prometheus metrics of the `process` role, declared once."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from engine.fold import Counts
from engine.lag import Lag, metric

_COMMIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

COUNTED = {
    "records": "Input records that were folded.",
    "points": "Values that were folded into rows.",
    "duplicates": "Records that were dropped because their id had occurred.",
    "late": "Values of windows that had closed.",
    "skewed": "Records whose times were shifted, since their source's clock is off.",
    "skipped": "Records that were not folded, because the log began inside a segment.",
    "faults": "Records, or samples, that could not be used.",
    "overflowed": "Values beyond the limit of rows, folded into flagged rows.",
}


class Metrics:
    """All metrics of one process.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.counted = {
            name: Counter(f"watchkeeper_{name}", help_, ["topic"], registry=registry) for name, help_ in COUNTED.items()
        }
        self.rows = Counter("watchkeeper_rollup_rows", "Rollup rows that were published.", registry=registry)
        self.holes = Counter("watchkeeper_missing_offsets", "Offsets that were not in the log.", registry=registry)
        self.letters = Counter("watchkeeper_deadletters", "Dead letters that were sent.", registry=registry)
        self.ticks = Counter("watchkeeper_ticks", "Ticks that were written.", registry=registry)
        self.missed_ticks = Counter(
            "watchkeeper_missed_ticks", "Seconds without ticks, because Kafka was slow or away.", registry=registry
        )
        self.rebalances = Counter("watchkeeper_rebalances", "Assignments of partitions.", registry=registry)
        self.transitions = Counter(
            "watchkeeper_transitions", "Alert transitions that were emitted.", ["to_state"], registry=registry
        )
        self.unreadable = Counter(
            "watchkeeper_unreadable", "Records of our own topics that could not be read.", ["topic"], registry=registry
        )
        self.commit_seconds = Histogram(
            "watchkeeper_commit_seconds", "How long a commit took.", buckets=_COMMIT_BUCKETS, registry=registry
        )

    def count(self, topic: str, before: Counts, now: Counts) -> None:
        """Adds what a fold has counted since."""
        for name, counter in self.counted.items():
            more = getattr(now, name) - getattr(before, name)
            if more:
                counter.labels(topic).inc(more)

    def lag(self, read: Callable[[], Lag]) -> None:
        """Gauges of how far behind the fold is, read when asked."""
        self.gauge("lag_records", "Records that wait to be folded.", lambda: float(read().records))
        age = "Age of the newest record that was folded, while others wait."
        self.gauge("lag_seconds", age, lambda: metric(read().seconds))
        self.gauge(
            "catch_up_seconds",
            "Time until no record waits, at the rate of late; infinite where more come than are folded.",
            lambda: metric(read().catch_up_s),
        )

    def gauge(self, name: str, help_: str, read: Callable[[], float]) -> None:
        """A gauge that is read when asked."""
        Gauge(f"watchkeeper_{name}", help_, registry=self._registry).set_function(read)
