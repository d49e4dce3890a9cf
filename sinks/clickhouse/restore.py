"""What a new embedded broker must be told again: the rules, and what was known of each alert."""

from connect.clickhouse import Store
from schemas.alerts import AlertState
from schemas.control import RuleControl

_CONTROL = """
SELECT argMax(record, (version, at, by)) FROM watchkeeper_store.control FINAL
WHERE startsWith(id, 'rule/') GROUP BY id ORDER BY id
"""
# Within one incarnation of the topic its last record holds; of several incarnations the one that was evaluated last.
_STATES = """
SELECT argMax(record, (evaluated_at, written_at)) AS newest, argMax(record, written_at) AS written
FROM watchkeeper_store.alert_states FINAL
GROUP BY alert HAVING written != '' ORDER BY alert
"""


def load_control(store: Store) -> list[RuleControl]:
    """The newest version of each rule, removed ones too: their versions must go on counting.

    Raises:
        StoreUnavailable: ClickHouse is away.
        StoreRefused: There are no tables yet.
    """
    return [RuleControl.model_validate_json(record) for (record,) in store.rows(_CONTROL)]


def load_states(store: Store) -> list[AlertState]:
    """The newest state of each alert, transitions that may not have been sent included; not of those that were removed.

    Raises:
        StoreUnavailable: ClickHouse is away.
        StoreRefused: There are no tables yet.
    """
    return [AlertState.model_validate_json(newest) for newest, _ in store.rows(_STATES)]
