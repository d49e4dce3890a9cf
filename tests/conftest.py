"""What all tests share: a real broker, a real ClickHouse engine, hypothesis profiles.

Tests marked `containers` run where a Docker engine answers, and are deselected where none does: the header line says
which. The hypothesis profile `ci` repeats the same examples each time, `dev` searches on.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

from connect.config import ClickHouseConfig, KafkaConfig
from watchkeeper.embedded.broker import EmbeddedBroker
from watchkeeper.embedded.clickhouse import EmbeddedClickHouse

_SLOW_MACHINE = [HealthCheck.too_slow]

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True, suppress_health_check=_SLOW_MACHINE)
settings.register_profile("dev", deadline=None, suppress_health_check=_SLOW_MACHINE)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

STOP_S = 10.0
DOCKER = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[DOCKER] = docker_answers()


def pytest_report_header(config: pytest.Config) -> str:
    return "containers: " + ("taken" if config.stash[DOCKER] else "deselected, no Docker engine answers")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.stash[DOCKER]:
        return
    without = [item for item in items if item.get_closest_marker("containers") is not None]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in set(without)]


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


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    """An embedded broker of the module's own, empty at its start."""
    service = EmbeddedBroker(free_port(), tmp_path_factory.mktemp("broker") / "broker.log")
    service.start()
    yield KafkaConfig(bootstrap=service.address, idempotent=False)
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
    return EmbeddedClickHouse(folder / "data", free_port(), folder / "clickhouse.log")
