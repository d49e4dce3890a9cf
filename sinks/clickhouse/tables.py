"""The table of each topic that the sink reads."""

from engine.fold_config import FoldConfig
from sinks.clickhouse import inputs, rows
from sinks.clickhouse.rows import Table


def tables(rules: FoldConfig | None = None) -> dict[str, Table]:
    """The table of each topic. The readers hold caches: one set for each sink.

    Args:
        rules: What the workers fold by; None: by the defaults.
    """
    return {**rows.tables(), **inputs.input_tables(rules or FoldConfig())}
