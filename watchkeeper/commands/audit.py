"""`watchkeeper audit`: whether the rollups of closed hours hold what the raw rows do."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from connect.clickhouse import Store
from connect.topic_ids import topic_epochs
from engine.audit import Hour, Result
from schemas.topics import INPUTS
from sinks.clickhouse.audit import Audit
from sinks.clickhouse.auditing import Auditing, Round, remedy, sentences
from sinks.clickhouse.audits import TIMEOUT_S
from sinks.clickhouse.migrate import Retention
from watchkeeper import addresses
from watchkeeper.commands.output import json_lines, table
from watchkeeper.sources import Loaded, Nested, load
from watchkeeper.times import range_ms
from watchkeeper.words import moment

EQUAL, DIFFERENT = 0, 1
_COLUMNS = ("hour", "topic", "result", "series", "mismatches", "repeats", "found")


def run(arguments: Nested, config: Path | None, *, since: str, until: str, as_json: bool) -> int:
    """Audits the hours of a range and prints what was found; the exit code: 1 if something differs.

    Raises:
        BadSettings: The range cannot be read.
        StoreUnavailable: ClickHouse is away.
        BrokerUnavailable: Kafka is, which tells the present incarnation of the topics.
    """
    loaded, now_ms = load(arguments, config=config), time.time_ns() // 1_000_000
    from_ms, to_ms = range_ms(since, until, now_ms=now_ms)
    done = _audited(loaded, from_ms, to_ms)
    size_ms = loaded.settings.sink.audit_period_s * 1000
    rows = sorted([*map(_found, done.audits), *(_waiting(hour, why) for hour, why in done.waiting.items())], key=_order)
    if as_json:
        json_lines(rows)
    else:
        _print(rows, done, size_ms)
    return DIFFERENT if any(audit.result is Result.DIFFERENT for audit in done.audits) else EQUAL


def _audited(loaded: Loaded, from_ms: int, to_ms: int) -> Round:
    settings, names = loaded.settings.sink, [topic.name for topic in INPUTS]
    kafka, epoch = addresses.kafka_config(loaded), addresses.epoch(loaded)
    store = Store(replace(addresses.clickhouse_config(loaded), timeout_s=TIMEOUT_S))
    try:
        auditing = Auditing(
            store,
            size_ms=settings.audit_period_s * 1000,
            grace_ms=int(settings.audit_grace_s * 1000),
            epochs=asyncio.run(topic_epochs(kafka, names, fixed=epoch)),
            retention=Retention(),
        )
        return auditing.between(from_ms, to_ms)
    finally:
        store.close()


def _order(row: Mapping[str, Any]) -> tuple[int, str]:
    return row["hour_ms"], row["topic"]


def _found(audit: Audit) -> dict[str, Any]:
    return {
        "hour_ms": audit.hour.start_ms,
        "topic": audit.hour.topic,
        "result": audit.result.value,
        "series": audit.series,
        "mismatches": audit.mismatches,
        "repeats": audit.repeats,
        "found": list(sentences(audit)) or ([audit.reason] if audit.reason else []),
    }


def _waiting(hour: Hour, partitions: str) -> dict[str, Any]:
    found = [f"the rollups are not complete yet: {partitions}"]
    nothing = {"series": 0, "mismatches": 0, "repeats": 0}
    return {"hour_ms": hour.start_ms, "topic": hour.topic, "result": "waiting", **nothing, "found": found}


def _print(rows: list[dict[str, Any]], done: Round, size_ms: int) -> None:
    cells = [
        (
            moment(row["hour_ms"]),
            row["topic"],
            row["result"],
            str(row["series"]),
            str(row["mismatches"]),
            str(row["repeats"]),
            "; ".join(row["found"]),
        )
        for row in rows
    ]
    table(_COLUMNS, cells, empty="no hour of this range is closed and whole")
    for line in _remedies(done, size_ms):
        print(line)


def _remedies(done: Round, size_ms: int) -> Iterator[str]:
    for audit in done.audits:
        if audit.result is Result.DIFFERENT:
            yield f"where {audit.hour.topic} differs: {remedy(audit.hour, size_ms)}"
