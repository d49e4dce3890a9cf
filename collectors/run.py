"""The `collect` role: this host's samples, one record per tick."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from collectors.host import HostCollector
from collectors.probes import all_probes
from connect.config import KafkaConfig
from connect.publisher import Publisher
from connect.spool import Spool
from connect.telemetry import Figures, Telemetry
from schemas.topics import SAMPLES


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectConfig:
    """What the collector needs to know.

    Attributes:
        source: Name of this host; the key of its records.
        spool_dir: Where records wait while the broker is away.
        spool_max_bytes: Beyond it the oldest go.
        deadline_s: How long stopping may take.
    """

    kafka: KafkaConfig
    source: str
    spool_dir: Path
    interval_ms: int = 1_000
    spool_max_bytes: int = 256 * 1024 * 1024
    deadline_s: float = 3.0


class Metrics:
    """What the collector counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.samples = Counter("watchkeeper_collect_samples", "Samples collected.", registry=registry)
        self.published = Gauge(
            "watchkeeper_collect_published_records", "Records Kafka acknowledged.", registry=registry
        )
        self.misses = Gauge("watchkeeper_collect_probe_misses", "Misses of a probe.", ["probe"], registry=registry)
        self.spooled = Gauge("watchkeeper_collect_spooled_records", "Records waiting on disk.", registry=registry)
        self.dropped = Gauge(
            "watchkeeper_collect_dropped_records", "Records the full spool dropped.", registry=registry
        )
        self.publish_s = Histogram("watchkeeper_collect_publish_seconds", "Send to acknowledgement.", registry=registry)


async def collect(config: CollectConfig, telemetry: Telemetry, stop: asyncio.Event) -> None:
    """Collects until `stop`; then delivers or spools what is on its way.

    Raises:
        BadSettings: When another process uses the spool folder.
    """
    spool = Spool(config.spool_dir, max_bytes=config.spool_max_bytes)
    metrics = Metrics(telemetry.registry)
    publisher = Publisher(config.kafka, source=config.source, spool=spool, clock=_now_ms)
    publisher.on_delivered = metrics.publish_s.observe
    collector = HostCollector(all_probes())
    totals = {"samples": 0}

    def figures() -> Figures:
        return {
            "samples_total": totals["samples"],
            "published_total": publisher.published,
            "spooled_records": publisher.spooled,
            "dropped_total": spool.dropped + publisher.lost,
            "misses_total": sum(collector.misses.values()),
        }

    telemetry.show(figures)
    await publisher.start()
    try:
        while not stop.is_set():
            at_ms = await _next_tick(config.interval_ms, stop)
            if stop.is_set():
                break
            samples = await asyncio.to_thread(collector.collect)
            totals["samples"] += len(samples)
            metrics.samples.inc(len(samples))
            await publisher.publish(SAMPLES.name, config.source, {"samples": samples}, at_ms)
            _show(metrics, collector, publisher, spool)
    finally:
        await publisher.stop(config.deadline_s)
        spool.close()


def _show(metrics: Metrics, collector: HostCollector, publisher: Publisher, spool: Spool) -> None:
    metrics.published.set(publisher.published)
    metrics.spooled.set(publisher.spooled)
    metrics.dropped.set(spool.dropped + publisher.lost)
    for probe, misses in collector.misses.items():
        metrics.misses.labels(probe).set(misses)


async def _next_tick(interval_ms: int, stop: asyncio.Event) -> int:
    """Waits for the next multiple of the interval on the wall clock, so that ticks do not drift; that moment."""
    now_ms = _now_ms()
    at_ms = now_ms - now_ms % interval_ms + interval_ms
    try:
        async with asyncio.timeout((at_ms - now_ms) / 1000):
            await stop.wait()
    except TimeoutError:
        pass
    return at_ms


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
