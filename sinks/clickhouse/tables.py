"""The table of each topic that the sink reads."""

from engine.fold_config import FoldConfig
from schemas.topics import ACCESS, CHANGES, DEADLETTERS, INCIDENTS, ROLLUPS
from sinks.clickhouse import inputs, rollups, rows
from sinks.clickhouse.access import ACCESS_COLUMNS, CHANGE_COLUMNS, access_rows, change_rows
from sinks.clickhouse.incidents import INCIDENT_COLUMNS, incident_rows
from sinks.clickhouse.refused import refused_table
from sinks.clickhouse.rows import Table, table_of


def tables(rules: FoldConfig | None = None) -> dict[str, Table]:
    """The table of each topic. The readers hold caches: one set for each sink.

    Args:
        rules: What the workers fold by; None: by the defaults.
    """
    own = {
        ROLLUPS.name: rollups.table(),
        DEADLETTERS.name: refused_table(),
        ACCESS.name: table_of("access", ACCESS_COLUMNS, access_rows),
        CHANGES.name: table_of("changes", CHANGE_COLUMNS, change_rows),
        INCIDENTS.name: table_of("incidents", INCIDENT_COLUMNS, incident_rows),
    }
    return {**own, **rows.tables(), **inputs.input_tables(rules or FoldConfig())}
