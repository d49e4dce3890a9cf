"""`watchkeeper replay`: the past once more, through other rules or another rollup definition, into side tables."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from connect.clickhouse import Store
from connect.clock import now_ms
from engine.fold_config import FoldConfig
from operations.rules_file import load_rules
from schemas.errors import BadSettings
from schemas.rollups import ROLLUP_10S
from sinks.clickhouse import side
from watchkeeper import addresses
from watchkeeper.bars import bar
from watchkeeper.commands.output import json_lines, table
from watchkeeper.commands.roles import fold_rules
from watchkeeper.replay import Outcome, ReplayConfig, Source, replay
from watchkeeper.sources import Loaded, Nested, load
from watchkeeper.times import range_ms
from watchkeeper.words import counted, moment

TIMEOUT_S = 300.0
"""How long one statement of a comparison may take."""

MAX_WINDOW_S = 86_400
MAX_LATENESS_MS = 600_000


def run(
    arguments: Nested,
    config: Path | None,
    *,
    name: str,
    since: str,
    until: str,
    rules: Path | None,
    window_s: int | None,
    lateness_ms: int | None,
    source: Source,
    replaces: bool,
) -> None:
    """Replays a range, and prints how it compares with what is live.

    Raises:
        BadSettings: An option, the rules or the range cannot be used.
        BrokerUnavailable: Kafka is away.
        StoreUnavailable: ClickHouse is away.
    """
    side.checked_name(name)
    loaded, now = load(arguments, config=config), now_ms()
    from_ms, to_ms = range_ms(since, until, now_ms=now)
    live = fold_rules(loaded.settings)
    chosen = ReplayConfig(
        name=name,
        replace=replaces,
        from_ms=from_ms,
        to_ms=to_ms,
        live=live,
        fold=_definition(live, window_s, lateness_ms),
        rules=load_rules(rules).rules if rules is not None else None,
        rules_from=rules.name if rules is not None else "then in force",
        source=source,
        kafka=addresses.kafka_config(loaded) if source != "clickhouse" else None,
        epoch=addresses.epoch(loaded) if source != "clickhouse" else "",
        made_ms=now,
    )
    from_ms, to_ms = chosen.span
    store = _store(loaded)
    try:
        with bar("replaying", to_ms - from_ms) as tell:
            outcome = asyncio.run(replay(chosen, store, tell))
    finally:
        store.close()
    _print(chosen, outcome)


def _definition(live: FoldConfig, window_s: int | None, lateness_ms: int | None) -> FoldConfig:
    if window_s is not None and not 1 <= window_s <= MAX_WINDOW_S:
        raise BadSettings(f"--window-s {window_s}: a window has 1 to {MAX_WINDOW_S} seconds")
    if lateness_ms is not None and not 0 <= lateness_ms <= MAX_LATENESS_MS:
        raise BadSettings(f"--lateness-ms {lateness_ms}: windows wait for 0 to {MAX_LATENESS_MS} milliseconds")
    window_ms = live.window_ms if window_s is None else window_s * 1000
    return replace(
        live,
        rollup=ROLLUP_10S if window_ms == live.window_ms else f"{window_ms // 1000}s.replay",
        window_ms=window_ms,
        lateness_ms=live.lateness_ms if lateness_ms is None else lateness_ms,
    )


def _store(loaded: Loaded) -> Store:
    return Store(replace(addresses.clickhouse_config(loaded), timeout_s=TIMEOUT_S))


def _print(chosen: ReplayConfig, outcome: Outcome) -> None:
    from_ms, to_ms = chosen.span
    print(
        f"replayed {counted(outcome.records, 'record')} of {moment(from_ms)} to {moment(outcome.whole_to_ms)}"
        f" from {outcome.log}, rules: {chosen.rules_from}"
    )
    if outcome.whole_to_ms < to_ms:
        print(f"up to {moment(to_ms)} the log has no whole segments yet: replay again later, or with an earlier --to")
    if outcome.left_out:
        print(f"left out, since their beginning is not known: {', '.join(outcome.left_out)}")
    windows, transitions = outcome.windows, outcome.transitions
    alike = chosen.fold.window_ms == chosen.live.window_ms
    print(
        f"windows: {windows.equal} equal{'' if alike else ' in what other windows can have equal'},"
        f" {windows.different} different, {windows.missing} missing, {windows.added} only in the replay"
    )
    print(
        f"transitions: {transitions.equal} equal, {transitions.live} only live, {transitions.replay} only in the replay"
    )
    print(f"tables: {side.DATABASE}.{chosen.name}_rollups, {side.DATABASE}.{chosen.name}_transitions")


def show(arguments: Nested, config: Path | None, *, as_json: bool) -> None:
    """Prints the replays that have side tables."""
    store = _store(load(arguments, config=config))
    found = side.replays(store)
    if as_json:
        json_lines(one._asdict() for one in found)
        return
    table(_TITLES, [_cells(one) for one in found], empty="there are no replays")


_TITLES = ("name", "from", "to", "window", "lateness", "rules", "log", "rollups", "transitions", "size", "made")


def _cells(one: side.Replay) -> Sequence[str]:
    figures = (str(one.rollups), str(one.transitions), f"{one.size_bytes} bytes")
    if not one.made_ms:
        return (one.name, *("",) * 6, *figures, "cut off: replay again with --replace")
    times = (moment(one.from_ms), moment(one.to_ms))
    return (one.name, *times, f"{one.window_ms / 1000:g} s", f"{one.lateness_ms} ms", one.rules, one.log, *figures,
            moment(one.made_ms))  # fmt: skip


def drop(arguments: Nested, config: Path | None, name: str) -> None:
    """Drops the side tables of a replay.

    Raises:
        BadSettings: There is none of this name.
    """
    if not side.drop(_store(load(arguments, config=config)), side.checked_name(name)):
        raise BadSettings(f"there is no replay {name}: `watchkeeper replay list` names those that are")
    print(f"dropped replay {name}")
