"""The host collector: what it reads, and what it does with a probe that hangs or fails."""

import threading
from collections.abc import Iterator

from collectors.host import HostCollector
from collectors.probes import Reading, all_probes
from schemas.catalogue import BY_NAME

REQUIRED = (
    "system.cpu.time",
    "system.cpu.load_average.1m",
    "system.memory.utilization",
    "system.paging.usage",
    "system.filesystem.utilization",
    "system.network.io",
    "system.network.errors",
    "system.network.connection.count",
    "system.process.count",
    "system.uptime",
)


def up() -> Iterator[Reading]:
    """A probe that answers at once."""
    yield Reading("system.uptime", 1.0)


def broken() -> Iterator[Reading]:
    """A probe that fails."""
    raise OSError("gone")


def test_every_family_is_collected_and_every_sample_is_in_the_catalogue() -> None:
    collector = HostCollector(all_probes(), deadline_s=5.0)
    samples = collector.collect() + collector.collect()
    assert set(REQUIRED) <= {sample["metric"] for sample in samples}
    for sample in samples:
        metric = BY_NAME[sample["metric"]]
        assert sample["kind"] == metric.kind
        assert set(sample.get("dimensions", {})) == set(metric.dimensions), sample


def test_utilisation_needs_two_readings_and_lies_between_nought_and_one() -> None:
    collector = HostCollector({"cpu": all_probes()["cpu"]}, deadline_s=5.0)
    names = [sample["metric"] for sample in collector.collect()]
    assert "system.cpu.utilization" not in names
    found: list[float] = []
    while not found:
        found = [one["value"] for one in collector.collect() if one["metric"] == "system.cpu.utilization"]
    assert 0.0 <= found[0] <= 1.0


def test_a_probe_that_hangs_is_a_miss_each_tick_and_holds_no_other_back() -> None:
    release = threading.Event()

    def hanging() -> Iterator[Reading]:
        release.wait()
        yield Reading("system.uptime", 2.0)

    collector = HostCollector({"mount": hanging, "up": up}, deadline_s=0.2)
    try:
        for _ in range(2):
            samples = collector.collect()
            misses = [sample for sample in samples if sample["metric"] == "watchkeeper.probe.misses"]
            assert [sample["dimensions"] for sample in misses] == [{"probe": "mount", "reason": "timeout"}]
            assert [sample["value"] for sample in samples if sample["metric"] == "system.uptime"] == [1.0]
        assert collector.misses == {"mount": 2, "up": 0}
    finally:
        release.set()


def test_a_probe_that_fails_is_a_miss_with_its_reason() -> None:
    (miss,) = HostCollector({"disk": broken}, deadline_s=5.0).collect()
    assert miss["dimensions"] == {"probe": "disk", "reason": "OSError"}


def test_the_duration_of_each_probe_is_a_sample() -> None:
    samples = HostCollector({"up": up}, deadline_s=5.0).collect()
    (duration,) = [sample for sample in samples if sample["metric"] == "watchkeeper.probe.duration"]
    assert duration["dimensions"] == {"probe": "up"}
    assert duration["value"] >= 0.0
