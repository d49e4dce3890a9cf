"""Notices that wait for one receiver: those of a group leave one after the other, groups do not wait for each other."""

import asyncio
from collections import deque

from schemas.dimensions import Canonical, canonical
from schemas.notifications import Notice


class Waiting:
    """A line for each group: an end never overtakes the beginning that its receiver did not take at once.

    Args:
        limit: So many notices wait or are under way at most.
    """

    def __init__(self, limit: int) -> None:
        self._room = asyncio.Semaphore(limit)
        self._first: asyncio.Queue[Notice] = asyncio.Queue()
        """Of each group of which none is under way the notice that leaves next."""
        self._behind: dict[tuple[str, Canonical], deque[Notice]] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.count = 0

    async def put(self, notice: Notice) -> None:
        """The last one of its group. Waits while there is no room."""
        await self._room.acquire()
        self.count += 1
        self._empty.clear()
        line = self._behind.get(_group(notice))
        if line is None:
            self._behind[_group(notice)] = deque()
            self._first.put_nowait(notice)
        else:
            line.append(notice)

    async def get(self) -> Notice:
        """One of a group of which none is under way. Say `done` when it has ended."""
        return await self._first.get()

    def done(self, notice: Notice) -> None:
        """The next one of its group may leave."""
        line = self._behind[_group(notice)]
        if line:
            self._first.put_nowait(line.popleft())
        else:
            del self._behind[_group(notice)]
        self.count -= 1
        self._room.release()
        if not self.count:
            self._empty.set()

    async def empty(self) -> None:
        """Returns when none waits and none is under way."""
        await self._empty.wait()


def _group(notice: Notice) -> tuple[str, Canonical]:
    return notice.route, canonical(notice.group)
