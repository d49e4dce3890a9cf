"""The notifier with points at which it ends itself: `python -m tests.notify.crashing notify`.

A process that comes to a point whose file lies in the folder `NOTIFY_POINTS` takes the file away, and is gone as by
kill -9. Nothing of this is in the program itself: before it runs, the functions at these points are replaced.
"""

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from connect.outbox import Message, Outbox
from schemas.topics import INCIDENTS, NOTIFICATIONS
from sinks.notify.receivers.webhook import Webhook
from sinks.notify.turn import Turn
from watchkeeper.cli import main

FOLDER = "NOTIFY_POINTS"
KILLED = 137


class Point(StrEnum):
    """Where it can be told to end."""

    BEFORE_INCIDENT = "before what becomes of an incident is written down"
    AFTER_INCIDENT = "after that is written down"
    BEFORE_PLAN = "before a notice is written down"
    AFTER_PLAN = "after a notice is written down, before it is sent"
    AFTER_SENDING = "after a notice was taken, before that is written down"
    AFTER_END = "after that is written down, before the commit"
    AFTER_COMMIT = "after the commit"


def _end_at(point: Point) -> None:
    try:
        (Path(os.environ[FOLDER]) / point.name).unlink()
    except FileNotFoundError:
        return
    os._exit(KILLED)


def put_points() -> None:
    """Replaces the functions at the points."""
    deliver, commit, post = Outbox.deliver, Turn._commit, Webhook.deliver

    async def written(outbox: Outbox, messages: Iterable[Message]) -> None:
        sent = list(messages)
        mine = [one.value or b"" for one in sent if one.topic == NOTIFICATIONS.name]
        planned = any(b'"planned"' in value for value in mine)
        decided = any(one.topic == INCIDENTS.name for one in sent)
        if decided:
            _end_at(Point.BEFORE_INCIDENT)
        if planned:
            _end_at(Point.BEFORE_PLAN)
        await deliver(outbox, sent)
        if decided:
            _end_at(Point.AFTER_INCIDENT)
        if planned:
            _end_at(Point.AFTER_PLAN)
        elif mine:
            _end_at(Point.AFTER_END)

    async def committed(turn: Turn) -> None:
        before = dict(turn._committed)
        await commit(turn)
        if turn._committed != before:
            _end_at(Point.AFTER_COMMIT)

    async def posted(webhook: Webhook, notice: Any) -> None:
        await post(webhook, notice)
        _end_at(Point.AFTER_SENDING)

    Outbox.deliver = written  # type: ignore[assignment, method-assign]
    Turn._commit = committed  # type: ignore[assignment, method-assign]
    Webhook.deliver = posted  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    put_points()
    main()
