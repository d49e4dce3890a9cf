"""Prometheus Alertmanager itself is told of alerts, forgets none that stands, and knows their ends."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from pydantic import SecretStr

from connect.clock import now_ms
from sinks.notify.receivers import open_receiver
from sinks.notify.receivers.settings import AlertmanagerSettings
from tests.engine.alerting import changed
from tests.notify.notices import notice
from tests.ports import free_ports

pytestmark = [pytest.mark.asyncio, pytest.mark.alertmanager]

CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@contextmanager
def alertmanager(folder: Path, port: int) -> Iterator[str]:
    """One that runs; its address."""
    (folder / "config.yml").write_text(CONFIG)
    command = ["prometheus-alertmanager", f"--config.file={folder / 'config.yml'}", f"--storage.path={folder / 'data'}"]
    listen = [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with (folder / "log").open("ab") as log, subprocess.Popen([*command, *listen], stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


async def ready(address: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncio.to_thread(lambda: urlopen(f"{address}/-/ready", timeout=2).close())
            except OSError:
                await asyncio.sleep(0.05)


async def standing(address: str) -> list[dict[str, Any]]:
    def asked() -> list[dict[str, Any]]:
        with urlopen(f"{address}/api/v2/alerts?active=true", timeout=5) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found

    return await asyncio.to_thread(asked)


async def test_it_knows_what_stands_what_got_worse_and_what_ended_and_is_told_again_after_a_restart(
    tmp_path: Path,
) -> None:
    port, now_s = free_ports(), now_ms() // 1000
    url = SecretStr(f"http://127.0.0.1:{port}/")
    settings = AlertmanagerSettings(name="am", kind="alertmanager", url=url, allow_networks=["127.0.0.0/8"])
    receiver = open_receiver(settings)
    fires = changed("firing", now_s - 60, episode_s=now_s - 90, severity="warning")
    other = changed("firing", now_s - 60, episode_s=now_s - 90, source="web-2")
    with alertmanager(tmp_path, port) as address:
        await ready(address)
        await receiver.deliver(notice(fires, other))
        found = {one["labels"]["source"]: one for one in await standing(address)}
        assert found.keys() == {"web-1", "web-2"}
        assert found["web-1"]["labels"] == {
            "alertname": "cpu-busy", "metric": "system.cpu.utilization", "severity": "warning", "source": "web-1",
        }  # fmt: skip
        assert found["web-1"]["annotations"]["summary"] == "cpu-busy on web-1 is firing"

        worse = changed("firing", now_s - 30, episode_s=now_s - 90)
        await receiver.deliver(notice(worse, changed("ok", now_s - 20, episode_s=now_s - 90, source="web-2")))
        (one,) = await standing(address)
        assert (one["labels"]["source"], one["labels"]["severity"]) == ("web-1", "critical")

    with alertmanager(tmp_path, port) as address:
        # It has forgotten everything, and is told again what stands.
        await ready(address)
        assert await standing(address) == []
        await receiver.deliver(notice(worse, repeat=True))
        (one,) = await standing(address)
        assert one["labels"]["source"] == "web-1"
        await receiver.deliver(notice(changed("ok", now_s - 5, episode_s=now_s - 90)))
        assert await standing(address) == []
    await receiver.close()
