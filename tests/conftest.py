"""What all tests share: a real broker, a real ClickHouse engine, hypothesis profiles.

Tests marked `containers` run where a Docker engine answers, those marked `apache_kafka` where Java and Maven are, those
marked `alertmanager` or `prometheus` where these are, and in CI always; elsewhere they are deselected: the header lines
say so. `--broker kafka` has all tests that need a broker run on Apache Kafka. The hypothesis profile `ci` repeats the
same examples each time, `dev` searches on.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

from connect.config import ClickHouseConfig, KafkaConfig
from tests.ports import free_ports
from watchkeeper.embedded.apache_kafka.service import ApacheKafka, Ports
from watchkeeper.embedded.broker import EmbeddedBroker
from watchkeeper.embedded.clickhouse import EmbeddedClickHouse

_SLOW_MACHINE = [HealthCheck.too_slow]

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True, suppress_health_check=_SLOW_MACHINE)
settings.register_profile("dev", deadline=None, suppress_health_check=_SLOW_MACHINE)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

STOP_S = 10.0
Broker = EmbeddedBroker | ApacheKafka
MISSING = pytest.StashKey[dict[str, str]]()
"""Marker to why tests with it are deselected."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--broker", choices=["tansu", "kafka"], default="tansu", help="what tests use that need a broker")


def pytest_configure(config: pytest.Config) -> None:
    missing = {}
    if not docker_answers():
        missing["containers"] = "no Docker engine answers"
    if not (os.environ.get("CI") or (shutil.which("java") and shutil.which("mvn"))):
        missing["apache_kafka"] = "Java or Maven is missing"
    if not (os.environ.get("CI") or shutil.which("prometheus")):
        missing["prometheus"] = "Debian's package prometheus is missing"
    if not (os.environ.get("CI") or shutil.which("prometheus-alertmanager")):
        missing["alertmanager"] = "Debian's package prometheus-alertmanager is missing"
    config.stash[MISSING] = missing


def pytest_report_header(config: pytest.Config) -> list[str]:
    missing = config.stash[MISSING]
    return [
        f"{marker}: " + (f"deselected, {missing[marker]}" if marker in missing else "taken")
        for marker in ("containers", "apache_kafka", "alertmanager", "prometheus")
    ]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    without = [item for item in items if any(item.get_closest_marker(marker) for marker in config.stash[MISSING])]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in set(without)]
    # Where they run side by side the long files must not be the last.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.get_closest_marker("e2e") is None, item.path not in slow))


def docker_answers() -> bool:
    """Whether somebody listens where Docker's client looks for its engine."""
    where = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    family = socket.AF_UNIX if where.scheme == "unix" else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(where.path if where.scheme == "unix" else (where.hostname, where.port or 2375))
        except OSError:
            return False
    return True


def new_broker(kind: str, folder: Path) -> Broker:
    """One on free ports, not started, with what it writes in a folder.

    Args:
        kind: `tansu` or `kafka`.
    """
    if kind == "tansu":
        return EmbeddedBroker(free_ports(), folder / "broker.log")
    return ApacheKafka(Ports(free_ports(), free_ports()), folder / "kafka", folder / "broker.log")


def config_of(broker: Broker) -> KafkaConfig:
    """How its clients reach it."""
    return KafkaConfig(bootstrap=broker.address, idempotent=isinstance(broker, ApacheKafka))


@pytest.fixture(scope="session")
def broker_kind(request: pytest.FixtureRequest) -> str:
    """What `--broker` says."""
    kind: str = request.config.getoption("--broker")
    return kind


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, broker_kind: str) -> Iterator[KafkaConfig]:
    """A broker of the module's own, empty at its start."""
    service = new_broker(broker_kind, tmp_path_factory.mktemp("broker"))
    service.start()
    yield config_of(service)
    service.stop(STOP_S)


@pytest.fixture
def kafka(tmp_path: Path, broker_kind: str) -> Iterator[KafkaConfig]:
    """A broker of the test's own, empty: logs begin at offset 0, groups know nothing."""
    service = new_broker(broker_kind, tmp_path)
    service.start()
    yield config_of(service)
    service.stop(STOP_S)


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseConfig]:
    """An embedded ClickHouse of the module's own, empty at its start."""
    service = embedded_clickhouse(tmp_path_factory.mktemp("clickhouse"))
    service.start()
    yield ClickHouseConfig(host="127.0.0.1", port=service.port)
    service.stop(STOP_S)


def embedded_clickhouse(folder: Path) -> EmbeddedClickHouse:
    """One on a free port, not started, with its data and its log in a folder."""
    return EmbeddedClickHouse(folder / "data", free_ports(), folder / "clickhouse.log")
