"""What a new embedded broker must be told again: rules, and what was known of each alert."""

from connect.clickhouse import Store
from schemas.alerts import AlertState
from schemas.control import RuleControl


def load_control(store: Store) -> list[RuleControl]:
    """The newest version of each rule, removed ones too."""
    rows = store.rows("SELECT id, argMax(record, version) FROM watchkeeper_store.control FINAL GROUP BY id ORDER BY id")
    return [RuleControl.model_validate_json(record) for _, record in rows]


def load_states(store: Store) -> list[AlertState]:
    """The newest state of each alert that is still known."""
    rows = store.rows("SELECT record FROM watchkeeper_store.alert_states FINAL WHERE NOT removed ORDER BY alert")
    return [AlertState.model_validate_json(record) for (record,) in rows]
