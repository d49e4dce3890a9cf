"""The main job, whole, as a person runs it; the steps carry the names of `docs/architecture.md`."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Running, eventually, running
from tests.ports import UP_PORTS, free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(360)]

RULES = """
version: 1
rules:
  - id: queue-depth
    kind: threshold
    metric: app.queue.depth
    aggregate: max
    warning: 50
    critical: 100
    for: 10s
    good_windows: 2
    description: The queue grows; add a worker.
"""


class Feeder:
    """A producer beside the program: emits one value of one metric each second, until told another."""

    def __init__(self, instance: Running, log: Path) -> None:
        self._path = log
        self._instance = instance
        self._process: subprocess.Popen[bytes] | None = None

    def value(self, value: float) -> None:
        """From now on, emit this value each second."""
        self.stop()
        script = (
            "import json, sys, time\n"
            "while True:\n"
            "    at = int(time.time() * 1000)\n"
            f"    sample = dict(metric='app.queue.depth', value={value!r}, dimensions=dict(queue='mail'))\n"
            "    print(json.dumps(dict(at_ms=at, samples=[sample])), flush=True)\n"
            "    time.sleep(1)\n"
        )
        numbers = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        self._numbers = numbers
        self._log = self._path.open("ab")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "watchkeeper", "emit", "--topic", "metrics.samples"),
                *("--source", "web-1", "--data-dir", str(self._instance.data_dir)),
            ],
            stdin=numbers.stdout,
            stdout=self._log,
            stderr=self._log,
        )
        assert numbers.stdout is not None
        numbers.stdout.close()

    def stop(self) -> None:
        """Ends the producer; what it sent stays sent."""
        if self._process is not None:
            self._numbers.terminate()
            self._numbers.wait()
            self._process.wait(15)
            self._process = None
            self._log.close()


@pytest.fixture
def tail(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.terminate()
        process.wait(10)


def transitions(instance: Running, state: str) -> list[dict[str, object]]:
    """Rows of view `alert_transitions` into a state."""
    return instance.rows(
        f"SELECT * FROM watchkeeper.alert_transitions WHERE rule = 'queue-depth' AND to_state = '{state}'"
    )


def follow(instance: Running, log: Path) -> subprocess.Popen[bytes]:
    """`alerts tail --json`, written to a file."""
    command = [sys.executable, "-m", "watchkeeper", "alerts", "tail", "--json", "--from-beginning"]
    with log.open("wb") as sink:
        return subprocess.Popen([*command, "--data-dir", str(instance.data_dir)], stdout=sink)


def told(log: Path) -> list[str]:
    """States that `alerts tail` printed for the rule, in order."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [line["to_state"] for line in lines if line["rule"] == "queue-depth"]


def test_the_main_job_from_collection_to_a_resolved_alert_and_over_a_restart(
    tmp_path: Path, tail: list[subprocess.Popen[bytes]]
) -> None:
    data_dir, output, told_log = tmp_path / "data", tmp_path / "up.log", tmp_path / "tail.jsonl"
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    with running(data_dir, output) as instance:
        # collectors/host.py -> connect/publisher.py -> metrics.samples -> agents/rollup.py -> engine/fold.py
        # -> metrics.rollups -> sinks/clickhouse -> view metrics_10s
        eventually(
            "rollups of this machine in metrics_10s",
            lambda: instance.rows(
                "SELECT * FROM watchkeeper.metrics_10s WHERE metric = 'system.cpu.utilization' LIMIT 1"
            ),
            within_s=30,
        )
        emit_user_events(instance)
        eventually("the user events, raw and as a series", lambda: user_events(instance) == (20, 20.0), within_s=30)

        instance.ask("rules", "apply", str(rules))
        tail.append(follow(instance, told_log))
        feeder = Feeder(instance, tmp_path / "emit.log")
        # metrics.rollups -> agents/evaluate.py -> engine/alerts.py -> alerts -> sinks/clickhouse -> monitoring_alerts
        feeder.value(150.0)
        eventually("pending in the table", lambda: transitions(instance, "pending"), within_s=40)
        eventually("firing in the table", lambda: transitions(instance, "firing"), within_s=40)
        feeder.value(1.0)
        eventually("resolved in the table", lambda: transitions(instance, "ok"), within_s=60)
        eventually("resolved in alerts tail", lambda: "ok" in told(told_log), within_s=10)
        assert told(told_log) == ["pending", "firing", "recovering", "ok"]
        episode = instance.rows("SELECT * FROM watchkeeper.monitoring_alerts WHERE alert_type = 'queue-depth'")
        assert [(row["status"], row["severity"]) for row in episode] == [("resolved", "critical")]
        assert episode[0]["resolved_at"]

        feeder.value(150.0)
        eventually("firing again", lambda: len(transitions(instance, "firing")) == 2, within_s=60)
        eventually("the incident is open again", lambda: incident(instance) == ("open", 1), within_s=30)
        (open_,) = [json.loads(line) for line in instance.ask("incidents", "list", "--json").splitlines()]
        assert "is acknowledged" in instance.ask("incidents", "ack", open_["id"], "--assign", "bob")
        feeder.stop()
        before = instance.rows("SELECT count() AS n FROM watchkeeper.metrics_10s")[0]["n"]
        started = time.monotonic()
        assert instance.stop() == 0, instance.tail()
        assert time.monotonic() - started < 12

    with running(data_dir, output) as instance:
        assert int(instance.rows("SELECT count() AS n FROM watchkeeper.metrics_10s")[0]["n"]) >= int(before)
        assert "queue-depth" in instance.ask("rules", "list")
        eventually("the firing alert is known again", lambda: firing(instance), within_s=30)
        feeder = Feeder(instance, tmp_path / "emit.log")
        feeder.value(1.0)
        eventually(
            "the alert of before the restart is resolved", lambda: len(transitions(instance, "ok")) == 2, within_s=90
        )
        eventually("the incident is over", lambda: incident(instance) == ("resolved", 1), within_s=30)
        assert "bob takes care of it" in instance.ask("incidents", "show", open_["id"])
        feeder.stop()
        assert instance.stop() == 0, instance.tail()


def incident(instance: Running) -> tuple[str, int] | None:
    """How the one incident of the rule stands, and how often it was reopened."""
    sql = "SELECT status, times_reopened FROM watchkeeper.incidents WHERE has(rules, 'queue-depth')"
    rows = instance.rows(sql)
    return (rows[0]["status"], int(rows[0]["times_reopened"])) if len(rows) == 1 else None


def emit_user_events(instance: Running) -> None:
    """Twenty page views, as a producer would send them."""
    events = [
        {"user": f"u{number % 4}", "event": "page.view", "service": "shop", "duration_s": 0.25} for number in range(20)
    ]
    instance.ask(
        "emit", "--topic", "events.user", "--source", "shop-1", stdin="".join(json.dumps(e) + "\n" for e in events)
    )


def user_events(instance: Running) -> tuple[int, float]:
    """How many are stored, and what their series adds up to."""
    stored = instance.rows("SELECT count() AS n FROM watchkeeper.events_user WHERE event = 'page.view'")
    series = instance.rows("SELECT sum(sum) AS n FROM watchkeeper.metrics_10s WHERE metric = 'user.events'")
    return (int(stored[0]["n"]), float(series[0]["n"])) if stored and series else (0, 0.0)


def firing(instance: Running) -> bool:
    """Whether `status` shows the alert as firing."""
    return any(alert["rule"] == "queue-depth" for alert in instance.status().get("firing", []))


def test_up_ends_by_itself_with_success(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "watchkeeper",
        "up",
        "--no-screen",
        "--for",
        "5",
        "--data-dir",
        str(tmp_path / "data"),
    ]
    done = subprocess.run(
        [*command, "--port-base", str(free_ports(UP_PORTS))], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
