"""`watchkeeper query`: a question to ClickHouse, its answer as it comes. It cannot change anything."""

import re
import sys
from pathlib import Path

from connect.clickhouse import Store
from schemas.errors import StoreRefused
from watchkeeper import addresses
from watchkeeper.sources import Nested, load

_NAMES_FORMAT = re.compile(r"\bFORMAT\s+\w+\Z", re.IGNORECASE)


def run(sql: str, output: str | None, arguments: Nested, config: Path | None) -> None:
    """Prints the answer.

    Args:
        sql: The statement; `-` reads it from standard input.
        output: Any output format of ClickHouse; None: a table on a terminal, else tab-separated lines. A statement that
            ends with FORMAT has its own.

    Raises:
        StoreRefused: ClickHouse refused the statement.
        StoreUnavailable: It does not answer.
    """
    statement = (sys.stdin.read() if sql == "-" else sql).strip().rstrip(";").strip()
    if not statement:
        raise StoreRefused("the statement is empty: try SELECT * FROM watchkeeper.metrics_10s LIMIT 10")
    chosen = output or ("PrettyCompact" if sys.stdout.isatty() else "TSV")
    named = None if _NAMES_FORMAT.search(statement) else chosen
    store = Store(addresses.clickhouse_config(load(arguments, config=config)))
    for block in store.raw(statement, named):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
