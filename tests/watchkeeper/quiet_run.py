"""A run in which nothing is lost, as it is stored, and the ledger's answer to questions about it; without a broker."""

import asyncio
import random
from typing import Any

from connect.clickhouse import Store
from connect.config import ClickHouseConfig
from engine.fold_config import FoldConfig
from schemas.topics import INPUTS
from sinks.clickhouse.migrate import migrate
from tests.sinks.running import EPOCH
from tests.sinks.stored import START_MS
from tests.watchkeeper.faulty_run import LENGTH_MS, Run, Written
from watchkeeper.ledger import Ledger, Question, Report


def emptied(clickhouse: ClickHouseConfig) -> Store:
    """Our tables, without rows."""
    store = Store(clickhouse)
    for database in ("watchkeeper", "watchkeeper_store"):
        store.command(f"DROP DATABASE IF EXISTS {database}")
    migrate(store)
    return store


class Quiet:
    """A run in which nothing is lost, as it is stored; it is asked without a broker."""

    def __init__(
        self, store: Store, *, max_rows: int = 200_000, silent_ms: int = 0, raw_until: int | None = None
    ) -> None:
        self.store = store
        self.run = Run(random.Random(7), FoldConfig(max_rows=max_rows), silent_ms)
        self.run.plan(unsent=0)
        self.rollups = self.run.fold()
        self.run.store(store, self.rollups, raw_until=raw_until)

    def ask(self, *, from_ms: int = START_MS, to_ms: int = START_MS + LENGTH_MS, **log: Any) -> Report:
        epochs = {topic.name: EPOCH for topic in INPUTS}
        names = list(epochs)
        question = Question(topics=names, epochs=epochs, from_ms=from_ms, to_ms=to_ms, rules=self.run.config)
        return asyncio.run(Ledger(Written(self.run, self.rollups, **log), self.store, question).report())


PARTITIONS = sum(topic.partitions for topic in INPUTS)
