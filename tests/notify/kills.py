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
from typing import Any

from connect.admin import create_topics
from connect.config import KafkaConfig
from engine.incidents import Grouping, Incidents
from schemas.alerts import Transition
from schemas.incidents import IncidentEvent
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
        incidents: Ids of those that there are.
        odd: What became of incidents and would not have without kills, or the other way round.
    """

    told: list[Transition] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    incidents: set[str] = field(default_factory=set)
    odd: list[str] = field(default_factory=list)

    @property
    def changes(self) -> int:
        """So many changes of alerts there were."""
        return len(self.told)


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
                        seen.told.append(changed(state, at_s, source=source))
                        await emit(kafka, seen.told[-1])
                        await running.until_told(taken, f"{source} {state}", points / point.name, seen, point)
            await eventually("all that becomes of incidents is written down", partial(_as_many, kafka, seen))
    _judge(taken, seen)
    _judge_incidents(await events_of(kafka), seen)
    return seen


def _without_kills(seen: Seen) -> list[IncidentEvent]:
    """What becomes of incidents where nothing is killed: a function of the changes."""
    incidents = Incidents(Grouping())
    return [event for one in seen.told for event in incidents.take(one)]


async def _as_many(kafka: KafkaConfig, seen: Seen) -> bool:
    return len({one["id"] for one in await events_of(kafka)}) >= len(_without_kills(seen))


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


def _judge_incidents(written: list[dict[str, Any]], seen: Seen) -> None:
    """Every event once by its id, and none under two: what was written again says the same."""
    wanted = {one.model_dump_json() for one in _without_kills(seen)}
    found = {IncidentEvent.model_validate(one).model_dump_json() for one in written}
    seen.incidents = {one["incident"]["id"] for one in written}
    seen.odd = sorted(wanted ^ found)


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
    print(f"{len(seen.incidents)} incidents, {len(seen.odd)} of their events not as without kills")
    return 1 if seen.lost or seen.double or seen.odd else 0


if __name__ == "__main__":
    sys.exit(main())
