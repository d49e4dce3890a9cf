"""`watchkeeper rules backtest`: what rules would have said of the past, before they are switched on."""

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from analysis.backtest import Past, decided, past, shares
from connect import clock
from connect.clickhouse import Store
from engine.episodes import episodes, score
from engine.incidents import Grouping, Incidents
from engine.inhibition import DEFAULT_RULES
from engine.paging import Paging
from engine.routing import tree
from engine.silences import Silences
from operations import control, silencing
from operations.rules_file import load_rules
from operations.silencing import Hidden
from schemas.alerts import State, Transition
from schemas.errors import BadSettings, BrokerUnavailable
from schemas.incidents import Change
from schemas.routes import RouteSettings
from schemas.rules import Rule
from sinks.clickhouse.past_rollups import TIERS
from sinks.notify.file import NotifyFile
from watchkeeper import addresses
from watchkeeper.backtest_report import Report, Told
from watchkeeper.bars import bar
from watchkeeper.labels_file import load_labels
from watchkeeper.notify_file import load_notify
from watchkeeper.sources import Loaded, Nested, load
from watchkeeper.times import moment_ms, range_ms
from watchkeeper.words import moment

TIMEOUT_S = 300.0
_NOBODY = RouteSettings(receiver="nobody")


@dataclass(frozen=True, slots=True)
class Force:
    """What is in force now. Empty where Kafka is away, which is said."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    silences: Sequence[Hidden] = ()


def run(
    path: Path,
    arguments: Nested,
    config: Path | None,
    *,
    last: str,
    since: str,
    until: str,
    window: str,
    routes: str,
    labelled: Path | None,
    as_json: bool,
) -> None:
    """Plays the rules of a file over the past, and prints what would have come of it.

    Raises:
        BadSettings: An option or a file cannot be used; nothing was recorded.
        StoreUnavailable: ClickHouse is away.
    """
    loaded, now_ms = load(arguments, config=config), clock.now_ms()
    from_ms = moment_ms("--last", last, now_ms=now_ms)
    from_ms, to_ms = range_ms(since or moment(from_ms), until, now_ms=now_ms)
    every = load_rules(path).rules
    rules = [rule for rule in every if rule.enabled]
    if not rules:
        raise BadSettings(f"{path}: no rule of it is enabled")
    labels = load_labels(labelled) if labelled is not None else None
    notify, force = _notify(loaded, routes), _in_force(loaded)
    before = [known for rule in rules if (known := force.rules.get(rule.id)) and known.enabled and known != rule]
    store = Store(replace(addresses.clickhouse_config(loaded), timeout_s=TIMEOUT_S))
    try:
        about = past(store, [*rules, *before], TIERS[window], from_ms, to_ms)
        if not about.stretches:
            raise BadSettings(f"nothing was recorded between {moment(from_ms)} and {moment(to_ms)}")
        whole = shares(rules, about)
        with bar("playing the past", whole + shares(before, about)) as tell:
            found = decided(rules, about, tell, every)
            known_before = decided(before, about, lambda done: tell(whole + done), force.rules.values())
    finally:
        store.close()
    told, then = (partial(_told, notify=notify, force=force, about=about)(some) for some in (found, known_before))
    kept = [one for one in labels or () if about.has_recorded(one.from_ms, one.to_ms)]
    report = Report(rules, before, about, told, then, score(told.episodes, kept) if labels is not None else None)
    if as_json:
        print(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        report.show(path)


def _notify(loaded: Loaded, routes: str) -> NotifyFile | None:
    named = routes or loaded.settings.notify.file
    return load_notify(Path(named).expanduser()) if named else None


def _in_force(loaded: Loaded) -> Force:
    kafka = addresses.kafka_config(loaded)
    try:
        known, hidden = asyncio.run(control.read(kafka)), asyncio.run(silencing.read(kafka))
    except BrokerUnavailable as error:
        print(f"not compared with the rules in force, and without silences: {error}", file=sys.stderr)
        return Force()
    rules = {id_: one.rule for id_, one in known.items() if one.rule is not None}
    return Force(rules, list(hidden.values()))


def _told(transitions: Iterable[Transition], *, notify: NotifyFile | None, force: Force, about: Past) -> Told:
    since = _since(list(transitions), about.from_ms)
    inhibits = notify.inhibit if notify is not None else DEFAULT_RULES
    paging = Paging(tree(notify.route if notify is not None else _NOBODY), Silences(force.silences), inhibits)
    pages = [one for one in paging.play(since, about.to_ms) if one.is_raise]
    incidents = Incidents(notify.incidents.grouping() if notify is not None else Grouping())
    opened = sum(event.change is Change.OPENED for one in since for event in incidents.take(one))
    return Told(episodes(since), pages, paging.held_back, opened)


def _since(transitions: Sequence[Transition], from_ms: int) -> list[Transition]:
    """Those of episodes that were not over before a time: what stood then was told, too."""
    over = {(one.alert, one.episode_ms) for one in transitions if one.to_state is State.OK and one.at_ms < from_ms}
    return [one for one in transitions if (one.alert, one.episode_ms) not in over]
