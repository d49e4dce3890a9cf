"""`watchkeeper alerts explain`: why an alert was raised."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connect.clickhouse import Store
from engine.contributions import Contribution
from engine.wording import condition
from schemas.errors import BadSettings
from sinks.clickhouse.blame import Blamable, beside
from sinks.clickhouse.explanations import Change, Explanation, explain
from sinks.clickhouse.history import newest_raise
from watchkeeper import addresses
from watchkeeper.sources import Nested, load
from watchkeeper.words import compared, counted, duration, entity, moment, plain

_BAR = 20


def run(alert: str, arguments: Nested, config: Path | None, *, as_json: bool) -> None:
    """Prints it.

    Raises:
        BadSettings: There is no such alert.
        StoreUnavailable: ClickHouse does not answer.
    """
    store = Store(addresses.clickhouse_config(load(arguments, config=config)))
    transition = newest_raise(store, alert)
    if transition is None:
        raise BadSettings(f"no alert was raised that is called {alert}: `watchkeeper alerts list --json` tells them")
    explanation = explain(store, transition)
    if as_json:
        print(json.dumps(_facts(explanation), ensure_ascii=False))
        return
    print("\n".join(lines(explanation)))


def lines(explanation: Explanation) -> Iterator[str]:
    """What a person wants to read, the most important first."""
    told, rule = explanation.transition, explanation.rule
    yield plain(told.summary)
    yield f"  alert     {told.alert}, {told.severity}, {entity(told.entity) or 'everything'}"
    yield f"  since     {moment(told.episode_ms)}; {told.to_state} from {moment(told.at_ms)}"
    yield f"  value     {compared(told.value, told.threshold)}"
    if rule is not None:
        yield f"  rule      {rule.id}, version {told.rule_version}: {condition(rule)}"
        if rule.description:
            yield f"  to do     {rule.description}"
    yield f"  before    {_past(explanation)}"
    yield from (f"  changed   {_changed(change)} at {moment(change.at_ms)}" for change in explanation.changes)
    if isinstance(rule, Blamable):
        yield "  to blame  " + (f"nothing stands out from {beside(rule)}" if not explanation.blamed else "")
    for one in explanation.blamed:
        yield f"    {_bar(one.share)} {one.share:4.0%}  {_where(one)}: {one.now:.6g}, {one.expected:.6g} expected"
    yield f"  query     watchkeeper query {json.dumps(explanation.query, ensure_ascii=False)}"


def _past(explanation: Explanation) -> str:
    past = explanation.past
    if not past:
        return "not once in the 30 days before"
    lasted = sorted(one.to_ms - one.from_ms for one in past)[len(past) // 2]
    times = counted(len(past), "time")
    return f"{times} in 30 days, for {duration(lasted / 1000)} as a rule; last at {moment(past[0].from_ms)}"


def _changed(one: Change) -> str:
    more = entity(one.attributes)
    return f"{one.event} of {one.service} by {one.by}{f' ({more})' if more else ''}"


def _where(one: Contribution) -> str:
    return entity(one.dimensions) or "everywhere alike"


def _bar(share: float) -> str:
    filled = round(max(0.0, min(1.0, share)) * _BAR)
    return "█" * filled + "·" * (_BAR - filled)


def _facts(explanation: Explanation) -> Mapping[str, Any]:
    rule = explanation.rule
    return {
        "transition": explanation.transition.model_dump(mode="json"),
        "rule": rule.model_dump(mode="json") if rule is not None else None,
        "blamed": [one._asdict() for one in explanation.blamed],
        "changes": [one._asdict() for one in explanation.changes],
        "past": [one._asdict() for one in explanation.past],
        "query": explanation.query,
    }
