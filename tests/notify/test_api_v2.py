"""Alertmanager's API v2 as the notifier serves it: to amtool and to Prometheus themselves, and to nobody else."""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from connect.admin import create_topics
from connect.clock import now_ms
from connect.config import KafkaConfig
from engine.external_alerts import ExternalAlerts
from operations.responses import ask, new_id
from schemas.incidents import IncidentAction
from schemas.topics import ALERTS, TOPICS
from sinks.notify.api_v2 import ApiV2
from tests.agents.pipeline import eventually
from tests.notify.process import Process, Taken, events_of, notifiers, receiver, records_of, routes
from tests.ports import free_ports

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(120)]

QUICK = {"receiver": "team", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "0s"}


@asynccontextmanager
async def serving(kafka: KafkaConfig, folder: Path, **route: Any) -> AsyncIterator[tuple[Taken, int, Any]]:
    """A notifier that serves: what its receiver is given, its port, and what starts another."""
    await create_topics(kafka, TOPICS)
    port = free_ports()
    async with receiver() as (taken, url):
        file = routes(folder / "notify.yaml", {"team": url, "lead": url}, {**QUICK, **route})
        with notifiers(kafka, folder, file) as start:

            async def begin() -> Process:
                process: Process = start(WATCHKEEPER_NOTIFY_API_PORT=str(port))
                await eventually("it serves", lambda: _answers(port))
                return process

            yield taken, port, begin


@contextmanager
def prometheus(folder: Path, api_port: int) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """One that alerts while a rule says so; the file of its rules, and its process."""
    rules, port = folder / "rules.yml", free_ports()
    # It scrapes itself: `up` is there from the first scrape on.
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{api_port}"]}]}]},
        "scrape_configs": [{"job_name": "self", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }
    rule = {
        "alert": "SelfIsUp",
        "expr": "up == 1",
        "labels": {"severity": "page"},
        "annotations": {"summary": "{{ $labels.job }} is up"},
    }
    rules.write_text(json.dumps({"groups": [{"name": "some", "rules": [rule]}]}))
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    listen = [f"--web.listen-address=127.0.0.1:{port}", "--rules.alert.resend-delay=1s"]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen([*command, *listen], stderr=log) as process:
        try:
            yield rules, process
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.prometheus
async def test_an_alert_of_prometheus_is_told_once_and_its_end_too_though_the_notifier_is_killed(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    async with serving(kafka, tmp_path) as (taken, port, begin):
        first = await begin()
        with prometheus(tmp_path, port) as (rules, process):
            await eventually("it is told", lambda: _has(taken, 1))
            first.kill()
            await begin()
            await eventually("it still stands", lambda: _names(port, ["SelfIsUp"]))
            rules.write_text(rules.read_text().replace("up == 1", "up == 2"))
            process.send_signal(signal.SIGHUP)
            await eventually("its end is told", lambda: _has(taken, 2))
    once = {one["id"]: one for one in taken.notices}.values()
    told = [(one["status"], alert["summary"]) for one in once for alert in one["alerts"]]
    assert told == [("firing", "self is up"), ("resolved", "self is up")]


@pytest.mark.alertmanager
async def test_amtool_raises_lists_silences_and_expires(kafka: KafkaConfig, tmp_path: Path) -> None:
    async with serving(kafka, tmp_path) as (taken, port, begin):
        notifier = await begin()
        silence = (
            await amtool(port, "silence", "add", "alertname=Quiet", "-d", "1h", "-c", "known", "-a", "ann")
        ).strip()
        await amtool(port, "alert", "add", "Quiet", "instance=a", "severity=page")
        await amtool(port, "alert", "add", "Loud", "instance=b", "--annotation=summary=it is loud")
        await eventually("one is told", lambda: _has(taken, 1))
        await eventually("both stand", lambda: _names(port, ["Loud", "Quiet"]))
        assert [one["alerts"][0]["summary"] for one in taken.notices] == ["it is loud"]
        assert "Loud" in (active := await amtool(port, "alert", "query"))
        assert "Quiet" not in active
        silenced = json.loads(await amtool(port, "-o", "json", "alert", "query", "-s", "instance=~a|c"))
        assert [(one["labels"]["severity"], one["status"]["silencedBy"]) for one in silenced] == [("page", [silence])]
        (known,) = json.loads(await amtool(port, "-o", "json", "silence", "query"))
        assert (known["id"], known["createdBy"], known["status"]["state"]) == (silence, "ann", "active")

        notifier.kill()
        await begin()
        assert (await amtool(port, "silence", "query", "-q")).split() == [silence]
        await amtool(port, "silence", "expire", silence)
        assert (await amtool(port, "silence", "query", "-q")).split() == []
        await eventually("it is told", lambda: _has(taken, 2))


async def test_an_alert_whose_incident_was_resolved_by_hand_still_stands_for_those_who_post_it(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    body = json.dumps([{"labels": {"alertname": "Loud", "instance": "b"}}]).encode()
    async with serving(kafka, tmp_path, escalate=[{"after": "1s", "receiver": "lead"}]) as (taken, port, begin):
        notifier = await begin()
        assert await asyncio.to_thread(_status, port, "POST", "alerts", {}, body) == 200
        await eventually("both are told", lambda: _has(taken, 2))
        (opened, *_) = await events_of(kafka)
        asked = {"incident": opened["incident"]["id"], "action": "resolve", "at_ms": now_ms(), "by": "ada"}
        assert await ask(kafka, IncidentAction.model_validate({"id": new_id(), **asked}), within_s=20)
        await eventually("the lead is told of the end", lambda: _has(taken, 3))
        notifier.kill()
        await begin()
        assert await asyncio.to_thread(_status, port, "POST", "alerts", {}, body) == 200
        assert [one["to_state"] for one in await records_of(kafka, ALERTS.name)] == ["firing"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", "alerts", {"Content-Type": "text/plain"}, b"[]", 415),
        ("POST", "alerts", {"Host": "evil.example"}, b"[]", 403),
        ("GET", "alerts", {"Host": "evil.example:9093"}, None, 403),
        ("POST", "alerts", {}, b'[{"labels": {}}]', 400),
        ("POST", "alerts", {}, b'[{"labels": {"alertname": 1}}]', 400),
        ("POST", "alerts", {}, b"[" * 100_000, 400),
        ("POST", "alerts", {}, b"[" + b" " * 4_194_304 + b"]", 413),
        ("POST", "silences", {}, b"{}", 400),
        ("GET", "alerts?filter=%7B", {}, None, 400),
        ("DELETE", "silence/no-such", {}, None, 404),
        ("POST", "alerts", {}, b"[]", 200),
    ],
)
async def test_who_and_what_is_let_in(
    method: str, path: str, headers: dict[str, str], body: bytes | None, status: int
) -> None:
    async with alone() as port:
        assert await asyncio.to_thread(_status, port, method, path, headers, body) == status


@asynccontextmanager
async def alone() -> AsyncIterator[int]:
    """The API without a notifier, of which nothing that is refused may need any."""
    api = ApiV2(_Nobody(), ExternalAlerts(), ["team"], lambda: 1_000)
    port = free_ports()
    task = asyncio.create_task(api.run(port))
    try:
        await eventually("it serves", lambda: _answers(port))
        yield port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Nobody:
    """Knows of nothing."""

    def raised(self) -> list[Any]:
        return []

    def holders(self, *_: object) -> tuple[list[str], list[str]]:
        return [], []

    def silences(self) -> list[Any]:
        return []

    async def publish(self, transitions: Any) -> None:
        assert not transitions

    async def decide(self, silence: Any) -> None:
        raise AssertionError(silence)


async def amtool(port: int, *words: str) -> str:
    """What it says."""
    process = await asyncio.create_subprocess_exec(
        *("amtool", f"--alertmanager.url=http://127.0.0.1:{port}", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, why = await process.communicate()
    assert process.returncode == 0, why.decode()
    return said.decode()


def _status(port: int, method: str, path: str, headers: dict[str, str], body: bytes | None) -> int:
    request = Request(f"http://127.0.0.1:{port}/api/v2/{path}", data=body, method=method)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        request.add_header(name, value)
    try:
        with urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


async def _answers(port: int) -> bool:
    try:
        return await asyncio.to_thread(_status, port, "GET", "status", {}, None) == 200
    except OSError:
        return False


async def _names(port: int, names: list[str]) -> bool:
    def asked() -> list[str]:
        with urlopen(f"http://127.0.0.1:{port}/api/v2/alerts", timeout=10) as answer:
            return sorted(one["labels"]["alertname"] for one in json.load(answer))

    return await asyncio.to_thread(asked) == names


async def _has(taken: Taken, count: int) -> bool:
    return len({one["id"] for one in taken.notices}) >= count
