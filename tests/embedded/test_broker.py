"""The embedded broker's program: found, started, refused with a remedy, gone when it is killed."""

import os
import signal
import socket
from pathlib import Path

import pytest

from schemas.errors import BadSettings, TransientError
from tests.ports import free_ports
from watchkeeper.embedded import broker as module
from watchkeeper.embedded.broker import EmbeddedBroker, binary
from watchkeeper.embedded.child import answers

STOP_S = 5.0


def test_the_program_comes_with_the_installation_and_can_be_run() -> None:
    assert os.access(binary(), os.X_OK)


def test_where_it_is_not_installed_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(BadSettings, match=r"not installed for this platform.*name a broker of your own with --kafka"):
        binary()


def test_a_program_that_is_named_and_missing_is_said(tmp_path: Path) -> None:
    missing = tmp_path / "tansu"
    with pytest.raises(BadSettings, match=f"There is no broker program {missing}: correct embedded.broker_binary"):
        EmbeddedBroker(free_ports(), tmp_path / "log", program=missing).start()


def test_a_program_that_cannot_be_run_here_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "tansu"
    broken.write_bytes(b"\x7fELF not for this machine")
    broken.chmod(0o700)
    with pytest.raises(BadSettings, match=f"Cannot run {broken} for the broker"):
        EmbeddedBroker(free_ports(), tmp_path / "log", program=broken).start()


def test_a_program_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    ending = tmp_path / "tansu"
    ending.write_text("#!/bin/sh\necho it will not do\nexit 3\n")
    ending.chmod(0o700)
    with pytest.raises(TransientError, match="The broker ended with code 3: it will not do"):
        EmbeddedBroker(free_ports(), tmp_path / "log", program=ending).start()


def test_a_port_that_is_taken_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BadSettings, match="--port-base N"):
        EmbeddedBroker(taken.getsockname()[1], tmp_path / "log").start()


def test_it_starts_stops_and_starts_again_and_is_gone_when_it_is_killed(tmp_path: Path) -> None:
    service = EmbeddedBroker(free_ports(), tmp_path / "log")
    assert (service.pid, service.rss_bytes) == (None, 0)
    for _ in range(2):
        service.start()
        assert answers(service.port)
        assert service.rss_bytes > 0
        service.stop(STOP_S)
        assert (service.pid, answers(service.port)) == (None, False)
    service.start()
    assert service.pid is not None
    os.kill(service.pid, signal.SIGKILL)
    while service.pid is not None:
        """Until it has ended."""
    assert service.rss_bytes == 0
    service.stop(STOP_S)
