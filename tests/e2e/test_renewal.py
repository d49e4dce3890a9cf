"""The embedded broker is replaced in order before it fills the memory: no second of this machine is missing."""

from pathlib import Path

import pytest

from tests.e2e.running import eventually, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

EACH_WINDOW = """
SELECT toUnixTimestamp(window_start) AS at, n FROM watchkeeper.metrics_10s
WHERE metric = 'system.uptime' ORDER BY at
"""


def test_a_broker_is_replaced_and_every_second_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_EMBEDDED_BROKER_AGE_H", str(15 / 3600))
    with running(tmp_path / "data", tmp_path / "up.log") as instance:
        collector = instance.status()["processes"]["collect"]["pid"]
        epochs = {instance.status()["epoch"]}

        def renewed_twice() -> bool:
            epochs.add(instance.status().get("epoch", next(iter(epochs))))
            return len(epochs) > 2

        eventually("two more epochs", renewed_twice, within_s=120)
        eventually("healthy again", lambda: instance.status().get("healthy"), within_s=30)
        seen = len(instance.rows(EACH_WINDOW))
        eventually("two more windows", lambda: len(instance.rows(EACH_WINDOW)) >= seen + 3, within_s=60)
        # The first window began before the collector, the newest ones are not over.
        windows = instance.rows(EACH_WINDOW)[1:-2]
        assert len(windows) >= 4
        assert {int(row["n"]) for row in windows} == {10}, windows
        starts = [int(row["at"]) for row in windows]
        assert starts == list(range(starts[0], starts[-1] + 10, 10))
        assert instance.status()["processes"]["collect"]["pid"] == collector
        assert "a new one takes its place in order" in instance.tail()
        assert instance.stop() == 0, instance.tail()
