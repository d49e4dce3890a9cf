"""Ends a worker that looks alive and does nothing: no rebalance would ever rescue its partitions.

The consumer's heartbeats come from a thread of their own, so the group keeps a member whose agent hangs. The watchdog
is a thread too: it also sees an event loop that is blocked.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

_LOG = logging.getLogger(__name__)

EXIT_STUCK = 70
LOOKS = 12
"""How often it looks within its patience."""


class Standing(NamedTuple):
    """How one reader stands: how many records lie before it, and where it is."""

    lag: int
    position: int


class Watchdog:
    """Calls `die` when something has stood still for too long.

    Args:
        patience_s: For how long it may.
        flowing: Whether batches can come at all.
        standings: The readers, by name. Called from the watchdog's thread.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        *,
        patience_s: float,
        flowing: Callable[[], bool],
        standings: Callable[[], Mapping[str, Standing]],
        die: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience_s = patience_s
        self._flowing = flowing
        self._standings = standings
        self._die = die
        self._clock = clock
        self._flowed_s = clock()
        self._moved: dict[str, tuple[int, float]] = {}
        self._stopped = threading.Event()
        self._ending: threading.Timer | None = None

    def start(self) -> None:
        """Looks from now on, in a daemon thread."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def end_within(self, seconds: float) -> None:
        """From now on it only looks whether the process ends in time. The last call counts."""
        self._stopped.set()
        if self._ending is not None:
            self._ending.cancel()
        self._ending = threading.Timer(seconds, self._die, [f"it was to stop, and has not after {seconds:g} s"])
        self._ending.daemon = True
        self._ending.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._patience_s / LOOKS):
            stuck = self.look()
            if stuck is not None and not self._stopped.is_set():
                self._die(stuck)

    def look(self) -> str | None:
        """What has stood still for too long, in one sentence; None if all is well."""
        now_s = self._clock()
        if self._flowing():
            self._flowed_s = now_s
        elif now_s - self._flowed_s > self._patience_s:
            return f"no partitions were assigned, or their flow was stopped, for {now_s - self._flowed_s:.0f} s"
        standings = self._standings()
        self._moved = {
            name: (standing.position, self._since(name, standing, now_s)) for name, standing in standings.items()
        }
        for name, (position, since_s) in self._moved.items():
            if now_s - since_s > self._patience_s:
                lag = standings[name].lag
                return f"{name} stands at {position} for {now_s - since_s:.0f} s while {lag} records wait"
        return None

    def _since(self, name: str, standing: Standing, now_s: float) -> float:
        position, since_s = self._moved.get(name, (None, now_s))
        return since_s if position == standing.position and standing.lag > 0 else now_s


def end_process(why: str) -> None:
    """Ends the process at once: nothing in it can be trusted to run, and nothing uncommitted is lost."""
    _LOG.critical("The process ends itself: %s.", why)
    logging.shutdown()
    os._exit(EXIT_STUCK)
