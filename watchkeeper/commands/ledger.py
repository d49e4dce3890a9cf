"""`watchkeeper ledger`: what each stage of the pipeline gave beside what the next one has."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from connect.clickhouse import Store
from connect.topic_ids import topic_epochs
from engine.ledger import Finding
from schemas.errors import BadSettings
from schemas.topics import INPUTS
from sinks.clickhouse.audits import TIMEOUT_S
from watchkeeper import addresses
from watchkeeper.commands.output import json_lines, table
from watchkeeper.commands.roles import fold_rules
from watchkeeper.ledger import Question, Report, ledger
from watchkeeper.sources import Loaded, Nested, load
from watchkeeper.times import range_ms
from watchkeeper.words import counted, moment

BALANCED, NOT_BALANCED = 0, 1
TOLD = 3
"""Records of one finding that are named in the table."""

_COLUMNS = ("stage", "partition", "minute", "source", "lost", "double", "records")


def run(arguments: Nested, config: Path | None, *, topics: Sequence[str], since: str, until: str, as_json: bool) -> int:
    """Compares the stages and prints what does not balance; the exit code: 1 if something does not.

    Raises:
        BadSettings: The range cannot be read, or a topic is none of the input topics.
        StoreUnavailable: ClickHouse is away.
        BrokerUnavailable: Kafka is.
    """
    loaded, now_ms = load(arguments, config=config), time.time_ns() // 1_000_000
    from_ms, to_ms = range_ms(since, until, now_ms=now_ms)
    report = asyncio.run(_asked(loaded, _known(topics), from_ms, to_ms))
    if as_json:
        json_lines(_documents(report))
    else:
        _print(report)
    return NOT_BALANCED if report.findings else BALANCED


def _known(topics: Sequence[str]) -> Sequence[str]:
    names = [topic.name for topic in INPUTS]
    unknown = sorted(set(topics) - set(names))
    if unknown:
        raise BadSettings(f"--topic {unknown[0]} is no input topic; there are {', '.join(names)}")
    return topics or names


async def _asked(loaded: Loaded, topics: Sequence[str], from_ms: int, to_ms: int) -> Report:
    kafka = addresses.kafka_config(loaded)
    store = Store(replace(addresses.clickhouse_config(loaded), timeout_s=TIMEOUT_S))
    try:
        epochs = await topic_epochs(kafka, topics, fixed=addresses.epoch(loaded))
        rules = fold_rules(loaded.settings)
        question = Question(topics=topics, epochs=epochs, from_ms=from_ms, to_ms=to_ms, rules=rules)
        return await ledger(kafka, store, question)
    finally:
        store.close()


def _print(report: Report) -> None:
    cells = [
        (
            one.stage.value,
            f"{one.topic}/{one.partition}",
            moment(one.minute_ms),
            one.source,
            _amount(one, one.lost),
            _amount(one, one.double),
            _records(one),
        )
        for one in sorted(report.findings, key=lambda one: (one.minute_ms, one.topic, one.partition, one.stage))
    ]
    table(_COLUMNS, cells, empty="everything balances" if report.judged else "nothing could be judged")
    for note in report.notes():
        print(note)


def _amount(finding: Finding, count: int) -> str:
    return f"at least {count}" if finding.at_least and count else str(count or "")


def _records(finding: Finding) -> str:
    named = [f"{one.boot}/{one.seq}" for one in finding.records[:TOLD]]
    others = len(finding.records) - len(named)
    return ", ".join([*named, *([f"{counted(others, 'other')}"] if others else [])])


def _documents(report: Report) -> list[Mapping[str, Any]]:
    findings = [
        {"type": "finding", **asdict(one), "records": [record._asdict() for record in one.records]}
        for one in report.findings
    ]
    judged = [
        {"type": "judged", "topic": one.place[0], "partition": one.place[1], **one.span._asdict()}
        | {"from_ms": one.from_ms, "to_ms": one.to_ms}
        for one in report.judged
    ]
    unjudged = [
        {
            "type": "unjudged",
            "reason": reason.format(moment(at_ms)),
            "topic": topic,
            "partition": partition,
            "at_ms": at_ms,
        }
        for reason, places in report.unjudged.items()
        for (topic, partition), at_ms in places.items()
    ]
    return [*findings, *judged, *unjudged]
