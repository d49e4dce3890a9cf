"""Inserts that wait for ClickHouse as long as it takes, and find the row that it will never take."""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar, cast

import numpy as np

from connect.clickhouse import Store
from schemas.errors import StoreRefused, StoreUnavailable
from sinks.clickhouse.metrics import Metrics
from sinks.clickhouse.rows import Insertable, Record, Table, Target

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

BACKOFF_S, MAX_BACKOFF_S = 0.2, 5.0
DAY_MS = 86_400_000
MAX_DAYS = 50
"""Days that one insert may touch: each makes a part of its own, and ClickHouse refuses more than 100."""

MAX_REFUSED_ROWS = 1_000
"""Of one insert. More of them say that the table is wrong, not the rows: then nothing may be thrown away."""

Refused = tuple[Record, str]


class Writer:
    """Writes to one ClickHouse.

    Args:
        clock: Seconds, never going back.
    """

    def __init__(self, store: Store, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self.rows_total = 0
        self._metrics = metrics
        self._clock = clock
        self._away_since_s: float | None = None
        self._counted_s = 0.0

    @property
    def paused(self) -> bool:
        """Whether ClickHouse is away. Then nobody reads on, since everybody waits here."""
        return self._away_since_s is not None

    async def patiently(self, call: Callable[[], T]) -> T:
        """What the call returns. While ClickHouse is away it is made again, after pauses that grow.

        Raises:
            StoreRefused: ClickHouse will never take it.
        """
        backoff_s = BACKOFF_S
        while True:
            try:
                result = await in_thread(call)
            except StoreUnavailable as error:
                self._metrics.failures.labels("transient").inc()
                self._note_away(error)
            else:
                self._note_back()
                return result
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311  (jitter is no secret)
            backoff_s = min(MAX_BACKOFF_S, backoff_s * 2)

    def _note_away(self, error: StoreUnavailable) -> None:
        now_s = self._clock()
        if self._away_since_s is None:
            self._away_since_s = self._counted_s = now_s
            _LOG.warning("ClickHouse is away; reading is paused until it is back: %s", error)
        self._metrics.paused_seconds.inc(now_s - self._counted_s)
        self._counted_s = now_s

    def _note_back(self) -> None:
        if self._away_since_s is None:
            return
        now_s = self._clock()
        self._metrics.paused_seconds.inc(now_s - self._counted_s)
        _LOG.warning("ClickHouse is back after %.1f s", now_s - self._away_since_s)
        self._away_since_s = None

    async def insert(self, table: Target, batch: Insertable) -> list[Refused]:
        """Returns when ClickHouse has every row that it takes; the records of the others, each with its reason.

        Raises:
            StoreRefused: It takes none, since the table itself is wrong.
        """
        refused: list[Refused] = []
        for part in _by_days(table, batch):
            await self._insert(table, part, refused)
        return refused

    async def _insert(self, table: Target, batch: Insertable, refused: list[Refused]) -> None:
        started_s = self._clock()
        try:
            await self.patiently(lambda: batch.insert(self.store, table))
        except StoreRefused as error:
            self._metrics.failures.labels("permanent").inc()
            await self._halve(table, batch, refused, error)
            return
        self._metrics.insert_seconds.labels(table.name).observe(self._clock() - started_s)
        self._metrics.rows.labels(table.name).inc(len(batch))
        if isinstance(table, Table):  # what is stored beside the rows is not what was asked for
            self.rows_total += len(batch)

    async def _halve(self, table: Target, batch: Insertable, refused: list[Refused], error: StoreRefused) -> None:
        """Looks for the bad rows in both halves. Rows that are sent again replace themselves."""
        count = len(batch)
        if count > 1:
            for half in np.array_split(np.arange(count), 2):
                await self._insert(table, batch.some(half), refused)
            return
        # A table that is not there, or not ours to write, refuses good rows too: this question is refused as well then.
        await self.patiently(lambda: self.store.rows(f"SELECT {', '.join(table.columns)} FROM {table.name} LIMIT 0"))  # noqa: S608
        refused.append((batch.origin(), str(error)))
        if len(refused) > MAX_REFUSED_ROWS:
            raise StoreRefused(
                f"{table.name} refuses more than {MAX_REFUSED_ROWS} rows of one insert: {error}"
            ) from error


def _by_days(table: Target, batch: Insertable) -> Iterator[Insertable]:
    """The batch in parts that touch few days each; usually the batch itself."""
    if not len(batch):
        return
    days = batch.times_ms(table) // DAY_MS
    different = np.unique(days)
    if len(different) <= MAX_DAYS:
        yield batch
        return
    for first in range(0, len(different), MAX_DAYS):
        yield batch.some(np.flatnonzero(np.isin(days, different[first : first + MAX_DAYS])))


async def in_thread(call: Callable[[], T]) -> T:
    """As `asyncio.to_thread`, in a thread that never holds back the end of the process: a server may hang."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():  # given up
            return
        if error is None:
            done.set_result(cast("T", result))
        else:
            done.set_exception(error)

    def run() -> None:
        result: T | None = None
        failed: BaseException | None = None
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  (handed to whoever waits)
            failed = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="clickhouse", daemon=True).start()
    return await done
