"""`watchkeeper silences` and `watchkeeper maintenance`: what keeps alerts from being told."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.hidden import hidden_of
from connect import clock
from connect.clickhouse import Store
from engine.silences import Calendar
from operations import control, silencing
from operations.silencing import Hidden
from schemas.control import Maintenance, Silence
from schemas.durations import duration_ms
from schemas.errors import BadSettings
from schemas.matchers import Matcher
from watchkeeper import addresses
from watchkeeper.commands.output import json_lines, table
from watchkeeper.sources import Nested, load
from watchkeeper.times import moment_ms
from watchkeeper.whoami import whoami
from watchkeeper.words import counted, duration, entity, moment

SHOWN = 20


def add(texts: Sequence[str], arguments: Nested, config: Path | None, *, lasts: str, begins: str, comment: str,
        everything: bool) -> None:  # fmt: skip
    """Silences alerts. Raises BadSettings, BrokerUnavailable."""
    kafka, now_ms = addresses.kafka_config(load(arguments, config=config)), clock.now_ms()
    from_ms = moment_ms("--from", begins, now_ms=now_ms) if begins else now_ms
    matchers = silencing.matchers_of(texts, everything=everything)
    made = silencing.silence(
        matchers, from_ms=from_ms, lasts_ms=lasts_ms(lasts), comment=comment, by=whoami(), at_ms=now_ms
    )
    asyncio.run(control.publish(kafka, [made]))
    print(f"{made.id.partition('/')[2]}: {_told(made.matchers)} until {moment(made.ends_ms)}")


def maintain(name: str, texts: Sequence[str], arguments: Nested, config: Path | None, *, everything: bool,
             lasts: str, **fields: str) -> None:  # fmt: skip
    """Adds or changes maintenance. Raises BadSettings, BrokerUnavailable."""
    kafka, now_ms = addresses.kafka_config(load(arguments, config=config)), clock.now_ms()
    matchers = silencing.matchers_of(texts, everything=everything)
    before = asyncio.run(silencing.read(kafka)).get(f"maintenance/{name}")
    about: dict[str, Any] = {**fields, "duration_ms": lasts_ms(lasts), "by": whoami(), "at_ms": now_ms}
    made = silencing.maintenance(name, matchers, before, **about)
    asyncio.run(control.publish(kafka, [made]))
    print(f"{name}: {_told(made.matchers)}, {_recurs(made)}")


def lasts_ms(text: str) -> int:
    """A duration such as 2h. Raises BadSettings."""
    try:
        return int(str(duration_ms(text)))
    except ValueError as error:
        raise BadSettings(f"--for: {error}") from None


def expire(kind: str, name: str, arguments: Nested, config: Path | None) -> None:
    """Ends one. Raises BadSettings, BrokerUnavailable."""
    kafka = addresses.kafka_config(load(arguments, config=config))
    known = silencing.named(asyncio.run(silencing.read(kafka)), kind, name)
    change = silencing.ended(known, by=whoami(), at_ms=clock.now_ms())
    asyncio.run(control.publish(kafka, [change]))
    print(f"{known.id.partition('/')[2]} no longer holds")


def show(kind: str, arguments: Nested, config: Path | None, *, all_: bool, as_json: bool) -> None:
    """Prints those that hold or will; with `all_` those that do no longer too."""
    kafka, now_ms = addresses.kafka_config(load(arguments, config=config)), clock.now_ms()
    known = asyncio.run(silencing.read(kafka))
    found = [one for one in known.values() if one.type == kind and (all_ or _may_hold(one, now_ms))]
    if as_json:
        json_lines(one.model_dump(mode="json") for one in found)
        return
    rows = [
        (one.id.partition("/")[2], _state(one, now_ms), _told(one.matchers), _when(one), one.comment, one.by)
        for one in found
    ]
    table(("id", "now", "alerts", "when", "comment", "by"), rows, empty=f"there is no {kind}")


def preview(
    texts: Sequence[str], arguments: Nested, config: Path | None, *, last: str, everything: bool, as_json: bool
) -> None:
    """Prints which alerts of the past it would have hidden. Raises BadSettings, StoreUnavailable."""
    matchers = silencing.matchers_of(texts, everything=everything)
    now_ms = clock.now_ms()
    span = {"from_ms": moment_ms("--last", last, now_ms=now_ms), "to_ms": now_ms}
    store = Store(addresses.clickhouse_config(load(arguments, config=config)))
    found = hidden_of(store, matchers, span["from_ms"], span["to_ms"], shown=1_000_000)
    if as_json:
        json_lines(one.model_dump(include={"rule", "entity", "at_ms", "summary"}) for one in reversed(found.newest))
        return
    print(f"{found.hidden} of {counted(found.raised, 'alert')} of the last {last} would not have been told")
    for rule, count in found.by_rule.items():
        print(f"  {count:>6}  {rule}")
    rows = [(moment(one.at_ms), one.severity, one.rule, entity(one.entity)) for one in found.newest[:SHOWN]]
    if rows:
        table(("raised", "severity", "rule", "entity"), rows, empty="")


def _told(matchers: Sequence[Matcher]) -> str:
    return ", ".join(map(str, matchers))


def _may_hold(one: Hidden, now_ms: int) -> bool:
    return one.enabled if isinstance(one, Maintenance) else one.ends_ms > now_ms


def _state(one: Hidden, now_ms: int) -> str:
    if isinstance(one, Maintenance):
        until_ms = Calendar(one).until_ms(now_ms) if one.enabled else None
        return "off" if not one.enabled else "waits" if until_ms is None else f"until {moment(until_ms)}"
    if one.starts_ms > now_ms:
        return "waits"
    return "over" if one.ends_ms <= now_ms else f"until {moment(one.ends_ms)}"


def _when(one: Silence | Maintenance) -> str:
    return _recurs(one) if isinstance(one, Maintenance) else f"{moment(one.starts_ms)} to {moment(one.ends_ms)}"


def _recurs(one: Maintenance) -> str:
    again = f", {one.rrule}" if one.rrule else ""
    return f"{one.first} {one.zone}{again}, for {duration(one.duration_ms / 1000)}"
