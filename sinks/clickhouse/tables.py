"""The table of each topic that the sink reads."""

from engine.fold_config import FoldConfig
from schemas.topics import DEADLETTERS
from sinks.clickhouse import inputs, rows
from sinks.clickhouse.refused import refused_table
from sinks.clickhouse.rows import Table


def tables(rules: FoldConfig | None = None) -> dict[str, Table]:
    """The table of each topic. The readers hold caches: one set for each sink.

    Args:
        rules: What the workers fold by; None: by the defaults.
    """
    return {**rows.tables(), DEADLETTERS.name: refused_table(), **inputs.input_tables(rules or FoldConfig())}
