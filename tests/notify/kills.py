"""A notifier that ends at every point of its work, again and again: what a receiver was given meanwhile.

`python -m tests.notify.kills --rounds 20` is the long run; `tests/notify/test_kills.py` has one round.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from connect.admin import create_topics
from connect.config import KafkaConfig
from schemas.topics import TOPICS
from tests.agents.pipeline import eventually
from tests.conftest import config_of, new_broker
from tests.engine.alerting import changed
from tests.notify.crashing import FOLDER, KILLED, Point
from tests.notify.process import Process, Taken, emit, events_of, notifiers, receiver, routes

QUICK = {"receiver": "team", "group_by": ["source"], "group_wait": "0s", "group_interval": "0s"}


@dataclass
class Seen:
    """What became of it.

    Attributes:
        lost: Changes of alerts that no notice told.
        double: Changes that notices of several ids told.
        incidents: Of each machine what became of its incidents, each event once by its id.
    """

    changes: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    incidents: dict[str, list[str]] = field(default_factory=dict)

    @property
    def odd(self) -> list[str]:
        """Machines of which not exactly one incident was opened, and then resolved, under one id."""
        return [source for source, changes in self.incidents.items() if changes != ["opened", "resolved"]]


async def killed(kafka: KafkaConfig, folder: Path, *, rounds: int) -> Seen:
    """Tells changes one after the other, and ends the notifier at each point so many times."""
    await create_topics(kafka, TOPICS)
    points = folder / "points"
    points.mkdir()
    seen = Seen()
    async with receiver() as (taken, url):
        file = routes(folder / "notify.yaml", {"team": url}, QUICK)
        with notifiers(kafka, folder, file) as start:
            env = {FOLDER: str(points), "WATCHKEEPER_NOTIFY_SESSION_TIMEOUT_S": "2"}
            running = _Running(lambda: start(module="tests.notify.crashing", **env))
            for number in range(rounds):
                for point in Point:
                    source = f"{point.name.lower()}-{number}"
                    for at_s, state in ((20, "firing"), (90, "ok")):
                        (points / point.name).touch()
                        await emit(kafka, changed(state, at_s, source=source))
                        seen.changes += 1
                        await running.until_told(taken, f"{source} {state}", points / point.name, seen, point)
            await eventually("all incidents are over", partial(_all_over, kafka, seen))
    _judge(taken, seen)
    return seen


async def _all_over(kafka: KafkaConfig, seen: Seen) -> bool:
    """Reads topic `incidents`; whether each machine's is resolved."""
    events = {one["id"]: one for one in await events_of(kafka)}
    found: dict[str, list[str]] = {}
    for one in events.values():
        found.setdefault(one["incident"]["alerts"][0]["entity"]["source"], []).append(one["change"])
    seen.incidents = found
    return len(found) == seen.changes // 2 and all("resolved" in changes for changes in found.values())


class _Running:
    """Starts the notifier again whenever it is gone."""

    def __init__(self, start: Callable[[], Process]) -> None:
        self._start = start
        self._process = start()

    async def until_told(self, taken: Taken, what: str, armed: Path, seen: Seen, point: Point) -> None:
        """Returns when the receiver has it and the notifier has ended at the point, and runs again."""

        async def ended() -> bool:
            if self._process.process.poll() == KILLED:
                seen.kills[point.value] += 1
                self._process = self._start()
            return what in taken.transitions and armed.name not in os.listdir(armed.parent)  # noqa: PTH208

        await eventually(f"{what} is told, though it ended {point.value}", ended, within_s=90)


def _judge(taken: Taken, seen: Seen) -> None:
    ids: dict[str, set[str]] = {}
    for notice in taken.notices:
        for alert in notice["alerts"]:
            ids.setdefault(alert["id"], set()).add(notice["id"])
    seen.repeats = len(taken.notices) - len({notice["id"] for notice in taken.notices})
    seen.double = [transition for transition, several in ids.items() if len(several) > 1]
    seen.lost = [] if len(ids) == seen.changes else [f"{seen.changes - len(ids)} of {seen.changes}"]


def main() -> int:
    """Runs it on a broker of its own; 1 if something was lost or double."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="watchkeeper-kills-") as folder:
        broker = new_broker("tansu", Path(folder))
        broker.start()
        began_s = time.monotonic()
        seen = asyncio.run(killed(config_of(broker), Path(folder), rounds=asked.rounds))
        broker.stop(1.0)
    for point, count in seen.kills.items():
        print(f"{count:>4}  {point}")
    minutes = (time.monotonic() - began_s) / 60
    kills = sum(seen.kills.values())
    print(f"{seen.changes} changes, {kills} kills, {minutes:.1f} minutes, {seen.repeats} sent again under their id")
    print(f"lost: {len(seen.lost)}, double: {len(seen.double)}")
    print(f"{len(seen.incidents)} incidents, {len(seen.odd)} of them not opened once and resolved once")
    return 1 if seen.lost or seen.double or seen.odd else 0


if __name__ == "__main__":
    sys.exit(main())
