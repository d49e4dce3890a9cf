"""Deliveries within the notifier, with receivers that break."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from schemas.notifications import Delivered, Failed, Notice
from sinks.notify.deliveries import Deliveries
from sinks.notify.metrics import Metrics
from sinks.notify.receivers.settings import WebhookSettings
from tests.notify.notices import notice

pytestmark = pytest.mark.asyncio


class Broken:
    """Raises what nobody foresaw."""

    name = "team"

    async def deliver(self, notice: Notice) -> None:
        raise RuntimeError("https://hooks.example/s3cr3t")

    async def close(self) -> None:
        """Nothing."""


async def test_a_fault_in_a_receiver_gives_its_notice_up_and_ends_nothing_and_tells_no_secret() -> None:
    ends: list[Delivered | Failed] = []

    async def ended(_: Notice, end: Delivered | Failed) -> None:
        ends.append(end)

    settings = WebhookSettings.model_validate({"name": "team", "kind": "webhook", "url": "https://hooks.example/x"})
    metrics = Metrics(CollectorRegistry(), ["team"])
    deliveries = Deliveries({"team": (settings, Broken())}, metrics, give_up_s=0.0, ended=ended)
    running = asyncio.create_task(deliveries.run())
    told = notice().model_copy(update={"receiver": "team"})
    await deliveries.remind(told)
    await deliveries.add(told)
    await asyncio.wait({running, empty := asyncio.create_task(deliveries.empty())}, return_when="FIRST_COMPLETED")
    assert empty.done()
    assert not running.done()
    running.cancel()
    (end,) = ends
    assert isinstance(end, Failed)
    assert end.why == "a fault in receiver team: RuntimeError"
