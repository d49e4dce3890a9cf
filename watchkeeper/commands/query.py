"""`watchkeeper query`: a statement to ClickHouse, its answer as it comes."""

import sys
from pathlib import Path

from connect.clickhouse import Store
from watchkeeper import addresses
from watchkeeper.sources import Nested, load


def run(sql: str, output: str | None, arguments: Nested, config: Path | None) -> None:
    """Prints the answer.

    Args:
        sql: The statement; `-` reads it from standard input.
        output: Any output format of ClickHouse; None: a table on a terminal, else tab-separated lines.

    Raises:
        StoreRefused: ClickHouse refused the statement.
        StoreUnavailable: It does not answer.
    """
    statement = sys.stdin.read() if sql == "-" else sql
    chosen = output or ("PrettyCompact" if sys.stdout.isatty() else "TSV")
    store = Store(addresses.clickhouse_config(load(arguments, config=config)))
    for block in store.raw(statement, chosen):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
