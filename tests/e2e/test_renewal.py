"""The embedded broker is replaced before it fills the memory: what was acknowledged is stored, and counted once."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from schemas.topics import ERRORS, LOGS, SAMPLES, USER_EVENTS
from tests.chaos.oracle import plain_fold
from tests.e2e.compared import Differences, differences, stored
from tests.e2e.outside import LEVEL, METRIC, SOURCES, Outside
from tests.e2e.running import Running, eventually, running
from watchkeeper.watch import memory_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]

SEED, RENEWALS = 7, 3
MB = 1_000_000
BROKER_MB, BEYOND_MB = 48, 32
"""The setting, and what may come on top until the broker is replaced."""

EACH_WINDOW = """
SELECT toUnixTimestamp(window_start) AS at, n FROM watchkeeper.metrics_10s
WHERE metric = 'system.uptime' ORDER BY at
"""
EVENTS = f"""
SELECT topic, source, sum(number) AS number, sum(folded) AS folded FROM (
    SELECT '{USER_EVENTS.name}' AS topic, source, 1 AS number, 0 AS folded FROM watchkeeper.events_user
    UNION ALL SELECT '{ERRORS.name}', source, 1, 0 FROM watchkeeper.events_errors
    UNION ALL SELECT '{LOGS.name}', source, 1, 0 FROM watchkeeper.logs
    UNION ALL SELECT '{SAMPLES.name}', source, 1, 0 FROM watchkeeper.monitoring_metrics WHERE metric_type = '{METRIC}'
    UNION ALL SELECT
        transform(metric, ['user.events', 'error.events', 'log.records'],
            ['{USER_EVENTS.name}', '{ERRORS.name}', '{LOGS.name}'], '{SAMPLES.name}'), source, 0, n
    FROM watchkeeper.metrics_10s WHERE metric IN ('user.events', 'error.events', 'log.records', '{METRIC}')
) GROUP BY topic, source
"""
ALERTS = """
SELECT groupArray(to_state) AS states FROM (
    SELECT alert, to_state FROM watchkeeper.alert_transitions WHERE rule = 'always-firing' ORDER BY revision
) GROUP BY alert
"""
FIRING = [["pending", "firing"]] * SOURCES
RULES = f"""
version: 1
rules:
  - id: always-firing
    kind: threshold
    metric: {METRIC}
    aggregate: max
    critical: {LEVEL / 2}
    description: It stays above.
"""


@contextmanager
def sending(outside: Outside) -> Iterator[None]:
    """The producers send while the test goes on; at the end everything is acknowledged."""
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(asyncio.run, outside.run())
        try:
            yield
        finally:
            outside.stop()
            sent.result()


def test_three_brokers_are_replaced_under_load_without_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_EMBEDDED_BROKER_MEMORY_MB", str(BROKER_MB))
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    with running(tmp_path / "data", tmp_path / "up.log") as instance:
        instance.ask("rules", "apply", str(rules))
        collector = instance.status()["processes"]["collect"]["pid"]
        outside = Outside(instance.status()["addresses"]["kafka"], SEED)
        with sending(outside):
            eventually("an alert of each source fires", lambda: alerts(instance) == FIRING, within_s=90)
            greatest_mb = greatest_while_renewed(instance)
        eventually("healthy again", lambda: instance.status().get("healthy"), within_s=30)

        assert greatest_mb < BROKER_MB + BEYOND_MB

        # Every record of theirs: stored once, folded once, with its value.
        want = {key: (count, count) for key, count in outside.acknowledged.items()}
        eventually("all events, once each", lambda: events(instance) == want, within_s=30)
        assert samples(instance, outside).none
        # Every second of this machine: the first window began before its collector, the newest ones are not over.
        windows = instance.rows(EACH_WINDOW)[1:-2]
        assert {int(row["n"]) for row in windows} == {10}, windows
        starts = [int(row["at"]) for row in windows]
        assert starts == list(range(starts[0], starts[-1] + 10, 10))
        assert instance.status()["processes"]["collect"]["pid"] == collector
        # The alerts have fired all the time.
        assert alerts(instance) == FIRING
        assert instance.stop() == 0, instance.tail()


def greatest_while_renewed(instance: Running) -> float:
    """Waits for the renewals; the most memory in MB that a broker had meanwhile."""
    brokers: set[int] = set()
    greatest = 0

    def renewed() -> bool:
        nonlocal greatest
        for process in psutil.Process(instance.process.pid).children():
            if "tansu" in process.name():
                brokers.add(process.pid)
                greatest = max(greatest, memory_of(process.pid) or 0)
        return len(brokers) > RENEWALS

    eventually("three more brokers", renewed, within_s=240)
    return greatest / MB


def alerts(instance: Running) -> list[list[str]]:
    """The states that each alert went through."""
    return [row["states"] for row in instance.rows(ALERTS)]


def events(instance: Running) -> dict[tuple[str, str], tuple[int, int]]:
    """Topic and source to how many records are stored, and how many were folded."""
    return {
        (row["topic"], row["source"]): (int(row["number"]), int(row["folded"]))
        for row in instance.rows(EVENTS)
        if row["source"].startswith("outside-")
    }


def samples(instance: Running, outside: Outside) -> Differences:
    """Between what was acknowledged and what is stored, by series and window."""
    want = plain_fold(outside.samples)
    series = {fingerprint for fingerprint, _ in want}
    end_ms = 2 * time.time_ns() // 1_000_000
    have = {key: total for key, total in stored(instance, before_ms=end_ms).items() if key[0] in series}
    return differences(want, have)
