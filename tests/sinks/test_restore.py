"""What a new embedded broker is told again of topic `control`."""

from connect.clickhouse import Store
from schemas.control import RuleApplied, RuleControl
from schemas.rules import ThresholdRule
from schemas.topics import CONTROL
from sinks.clickhouse.restore import load_control
from sinks.clickhouse.tables import tables
from tests.sinks.rollups import Message
from tests.sinks.stored import insert


def test_of_each_rule_its_newest_version_and_nothing_of_what_was_applied_when(store: Store) -> None:
    rules = [
        RuleControl(id="rule/busy", version=version, at_ms=version, by="x", rule=rule)
        for version, rule in ((1, ThresholdRule(id="busy", metric="m", warning=0.5)), (2, None))
    ]
    applied = RuleApplied(id="applied/busy", version=1, from_ms=10_000)
    table = tables()[CONTROL.name]
    values = [one.model_dump_json().encode() for one in (*rules, applied)]
    insert(store, table, table.read([Message(value, topic=CONTROL.name) for value in values], ""))

    assert load_control(store) == [rules[1]]
    assert store.rows("SELECT count() FROM watchkeeper.monitoring_thresholds") == [(0,)]
