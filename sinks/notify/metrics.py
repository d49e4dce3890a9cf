"""Prometheus metrics of the `notify` role, declared once."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0, 3600.0)


class Metrics:
    """All metrics of one notifier.

    Args:
        registry: Where they are registered.
        receivers: Names of the receivers.
    """

    def __init__(self, registry: CollectorRegistry, receivers: Iterable[str]) -> None:
        self._registry = registry
        self.delivered = self._counter("delivered", "Notices that a receiver took.")
        self.failed = self._counter("failed", "Notices that were given up.")
        self.retries = self._counter("retries", "Attempts that failed and were made again.")
        self.template_failures = self._counter("template_failures", "Notices told in built-in words instead.")
        for name in receivers:
            for one in (self.delivered, self.failed, self.retries, self.template_failures):
                one.labels(name)
        self.latency_seconds = Histogram(
            "watchkeeper_notify_latency_seconds",
            "From the evaluation time of a transition to the receiver's answer.",
            ["receiver"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.unreadable = Counter(
            "watchkeeper_notify_unreadable", "Records that could not be read.", ["topic"], registry=registry
        )

        self.unexplained = Counter(
            "watchkeeper_notify_unexplained", "Times that ClickHouse did not tell in time why.", registry=registry
        )

    def _counter(self, name: str, help_: str) -> Counter:
        return Counter(f"watchkeeper_notify_{name}", help_, ["receiver"], registry=self._registry)
