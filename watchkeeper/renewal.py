"""Puts a new embedded broker in the place of one that is old or large, or gone."""

import asyncio
import time

from schemas.errors import WatchkeeperError
from watchkeeper.journal import Journal
from watchkeeper.pipeline import Pipeline

LOOK_S = 1.0
RETRY_S = 2.0
HOLD_S = 5.0
"""How long the broker may take for records that it has already, before their senders are cut off."""

MAX_LAG = 1_000
"""Records that may be left for the last reading to the end, which has a deadline."""


class Renewal:
    """Watches over a broker that keeps its records in memory and never frees any.

    Nothing that was acknowledged is lost, unless the broker dies by itself:

    1. The gate holds what others produce, unacknowledged, and the broker answers what it has already.
    2. The processor and the sink read to the end and stop; their exit codes say that everything is in ClickHouse. Until
       they say so the old broker stays, and this step is taken again.
    3. A new broker takes its place, and is told what it must know. The gate lets everything pass again.
    """

    def __init__(self, pipeline: Pipeline, journal: Journal) -> None:
        self._pipeline = pipeline
        self._journal = journal

    async def run(self) -> None:
        """Looks after the broker until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._pipeline.broker_is_gone:
                self._journal.say("the broker is gone, and with it what it held: a new one takes its place")
                await self._replace(time.monotonic())
            elif (why := self._pipeline.broker_is_due()) and await self._may_begin():
                self._journal.say(f"the broker {why}: a new one takes its place in order")
                await self._in_order()

    async def _may_begin(self) -> bool:
        """Not while ClickHouse is away, which it would have to wait for, unless memory asks for it."""
        return self._pipeline.broker_is_overdue() or await self._pipeline.lag_records() is not None

    async def _in_order(self) -> None:
        began_s = time.monotonic()
        assert self._pipeline.gate is not None
        # Step 1
        await self._pipeline.gate.hold(HOLD_S)
        # Step 2
        while not self._pipeline.broker_is_gone:
            if await self._drained():
                break
            await asyncio.sleep(LOOK_S)
        # Step 3
        await self._replace(began_s)

    async def _drained(self) -> bool:
        lag = await self._pipeline.lag_records()
        if lag is None or lag > MAX_LAG:
            return False
        try:
            drained = await self._pipeline.drain()
        except WatchkeeperError as error:
            self._journal.say(f"the old broker is not read to the end: {error}")
            return False
        if not drained:
            self._journal.say("the old broker is not read to the end yet, and stays until it is")
        return drained

    async def _replace(self, began_s: float) -> None:
        while True:
            try:
                await self._pipeline.replace_broker()
            except WatchkeeperError as error:
                self._journal.say(f"the new broker is not ready: {error}; another try in {RETRY_S:g} s")
                await asyncio.sleep(RETRY_S)
            else:
                self._journal.say(f"the new broker serves after {time.monotonic() - began_s:.1f} s; offsets begin anew")
                return
