"""How soon somebody is paged: from what makes a rule true to the webhook that is told of it."""

import asyncio
import json
import os
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from rich.progress import Progress

from benchmarks.figures import Figure, Section, Table
from benchmarks.instance import Started, started
from benchmarks.latency import NotSeen
from benchmarks.options import Options
from connect.config import KafkaConfig
from connect.publisher import Publisher
from operations import control
from schemas.rule_base import WINDOW_MS
from schemas.rules import RuleFile, ThresholdRule
from schemas.topics import SAMPLES

METRIC = "benchmark.pages"
AVERAGE, GREATEST = "benchmark-average", "benchmark-greatest"
GOOD, BAD, LIMIT = 1.0, 200.0, 100.0
PER_WINDOW = 10
STEP_MS = 500
PATIENCE_S = 60.0
WARM_WINDOWS = 2
KILL_EVERY_S = 40.0

HOW = """`watchkeeper up` runs with its default settings and a notifier that posts to a webhook on this machine, each
alert by itself. {breaches} series breach a rule, ten with each window of 10 s: half of them a rule on the greatest
value, whose series go bad at some moment of the window, half a rule on the average, whose series are bad for all of it.
The time counts from the sample that makes the first kind true, and from the end of the window that makes the second
true, to the request that the webhook gets. In the last third the process that folds and evaluates is ended by `kill -9`
every {kill:g} s."""


@dataclass(slots=True)
class Pages:
    """When each series makes its rule true, and when the webhook was told; epoch milliseconds.

    Attributes:
        calm: Series that went bad while nothing was killed.
    """

    true_ms: dict[str, int] = field(default_factory=dict)
    told_ms: dict[str, int] = field(default_factory=dict)
    calm: set[str] = field(default_factory=set)

    def seconds(self, *, calm: bool) -> list[float]:
        """From the one to the other, in order."""
        some = (source for source in self.true_ms if (source in self.calm) is calm)
        return sorted((self.told_ms[source] - self.true_ms[source]) / 1000 for source in some)


def run(options: Options, progress: Progress) -> Section:
    """Measures so many breaches on one instance.

    Raises:
        NotSeen: The webhook was not told of one within a minute.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        pages = asyncio.run(_run(Path(folder), options.breaches, progress))
    return _section(pages)


async def _run(folder: Path, breaches: int, progress: Progress) -> Pages:
    pages = Pages()
    runner = await _webhook(pages)
    file = folder / "notify.yaml"
    receiver: dict[str, Any] = {"name": "hook", "kind": "webhook", "url": f"http://127.0.0.1:{runner.addresses[0][1]}/"}
    route = {"receiver": "hook", "group_by": ["alertname", "source"]}
    receiver["allow_networks"] = ["127.0.0.0/8"]
    file.write_text(json.dumps({"version": 1, "receivers": [receiver], "route": route}))
    with started(NOTIFY_FILE=str(file)) as instance:
        try:
            await _measure(instance, pages, breaches, progress)
        finally:
            await runner.cleanup()
    return pages


async def _webhook(pages: Pages) -> web.AppRunner:
    async def told(request: web.Request) -> web.Response:
        notice = json.loads(await request.read())
        for alert in notice["alerts"]:
            if alert["to_state"] == "firing":
                pages.told_ms.setdefault(alert["entity"]["source"], _now_ms())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", told)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


async def _measure(instance: Started, pages: Pages, breaches: int, progress: Progress) -> None:
    kafka = KafkaConfig(bootstrap=instance.told.kafka, idempotent=False)
    shared: dict[str, Any] = {"metric": METRIC, "critical": LIMIT, "max_alerts": 10_000}
    rules = [
        ThresholdRule(id=GREATEST, aggregate="max", where={"rule": "greatest"}, **shared),
        ThresholdRule(id=AVERAGE, aggregate="avg", where={"rule": "average"}, **shared),
    ]
    change = control.plan({}, RuleFile(version=1, rules=list(rules)))
    await control.publish(kafka, control.records({}, change, by="benchmark", at_ms=_now_ms()))
    plan = _plan(breaches)
    task = progress.add_task("pages: breaches", total=breaches)
    sending = asyncio.create_task(_send(kafka, plan, pages))
    killing = asyncio.create_task(_kill(instance, plan, pages, breaches))
    try:
        last_ms = max(bad_ms for bad_ms, _ in plan.values()) + WINDOW_MS
        while len(pages.told_ms) < breaches:
            progress.update(task, completed=len(pages.told_ms))
            if _now_ms() > last_ms + PATIENCE_S * 1000:
                missing = sorted(plan.keys() - pages.told_ms.keys())
                raise NotSeen(f"the webhook was not told of {len(missing)} of {breaches}: {', '.join(missing[:5])}")
            await asyncio.sleep(0.1)
    finally:
        for running in (sending, killing):
            running.cancel()
        await asyncio.gather(sending, killing, return_exceptions=True)


def _plan(breaches: int) -> dict[str, tuple[int, str]]:
    """When each series goes bad, and by which rule."""
    now_ms = _now_ms()
    first_ms = now_ms - now_ms % WINDOW_MS + (1 + WARM_WINDOWS) * WINDOW_MS
    plan = {}
    for number in range(breaches):
        start_ms, place = first_ms + number // PER_WINDOW * WINDOW_MS, number % PER_WINDOW
        greatest = place % 2 == 0
        bad_ms = start_ms + (place * WINDOW_MS // PER_WINDOW if greatest else 0)
        plan[f"benchmark-{number}"] = (bad_ms, "greatest" if greatest else "average")
    return plan


async def _send(kafka: KafkaConfig, plan: dict[str, tuple[int, str]], pages: Pages) -> None:
    """Publishes all series, as one producer would, until cancelled."""
    publisher = Publisher(kafka, source="benchmark", clock=_now_ms)
    await publisher.start()
    try:
        while True:
            await asyncio.sleep((STEP_MS - _now_ms() % STEP_MS) / 1000)
            at_ms = _now_ms()
            for source, (bad_ms, rule) in plan.items():
                if at_ms < bad_ms - 2 * WINDOW_MS or at_ms > bad_ms + 3 * WINDOW_MS:
                    continue
                bad = at_ms >= bad_ms
                sample = {"metric": METRIC, "value": BAD if bad else GOOD, "dimensions": {"rule": rule}}
                await publisher.publish(SAMPLES.name, source, {"samples": [sample]}, at_ms, source=source)
                if bad:
                    true_ms = at_ms if rule == "greatest" else bad_ms + WINDOW_MS
                    pages.true_ms.setdefault(source, true_ms)
    finally:
        await publisher.stop(1.0)


async def _kill(instance: Started, plan: dict[str, tuple[int, str]], pages: Pages, breaches: int) -> None:
    """Ends the worker again and again, once two thirds of the breaches are behind."""
    from_number = breaches * 2 // 3 // PER_WINDOW * PER_WINDOW
    # What breaches in the window before the first kill is told behind it.
    pages.calm |= {f"benchmark-{number}" for number in range(from_number - PER_WINDOW)}
    from_ms = plan[f"benchmark-{from_number}"][0]
    await asyncio.sleep(max(0.0, (from_ms - _now_ms()) / 1000))
    while True:
        entry = instance.told.processes["process"]
        if entry.pid:
            with suppress(ProcessLookupError):
                os.kill(entry.pid, signal.SIGKILL)
        await asyncio.sleep(KILL_EVERY_S)


def _section(pages: Pages) -> Section:
    calm, killed = pages.seconds(calm=True), pages.seconds(calm=False)
    rows = [_row("nothing is killed", calm), _row("the worker is killed meanwhile", killed)]
    return Section(
        title="Pages",
        how=HOW.format(breaches=len(pages.true_ms), kill=KILL_EVERY_S),
        figures=[
            Figure(name="breach to webhook, p99", value=_p99(calm), unit="s", target=10, strict=True),
            Figure(name="breach to webhook, greatest", value=calm[-1], unit="s", target=30, strict=True),
            Figure(name="with kills, greatest", value=killed[-1], unit="s", target=30, strict=True),
        ],
        tables=[
            Table(
                title="Seconds from breach to webhook",
                headings=("", "count", "least", "median", "p99", "greatest"),
                rows=rows,
            )
        ],
    )


def _p99(ordered: list[float]) -> float:
    return ordered[-(-99 * len(ordered) // 100) - 1]


def _row(name: str, ordered: list[float]) -> list[str]:
    some = (ordered[0], ordered[len(ordered) // 2], _p99(ordered), ordered[-1])
    return [name, str(len(ordered)), *(f"{value:.2f}" for value in some)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
