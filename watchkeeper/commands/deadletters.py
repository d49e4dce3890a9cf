"""`watchkeeper deadletters`: records that could not be used."""

from pathlib import Path

from connect.clickhouse import Store
from watchkeeper import addresses
from watchkeeper.commands.output import json_lines, table
from watchkeeper.sources import Nested, load
from watchkeeper.words import moment

_COLUMNS = ("refused_ms", "topic", "partition", "offset", "reasons", "details", "value_bytes", "refused_by", "epoch")
_SQL = """
SELECT toUnixTimestamp64Milli(refused_at), topic, partition, offset, reasons, details, value_bytes, refused_by, epoch
FROM watchkeeper.deadletters ORDER BY refused_at DESC, topic, partition, offset DESC LIMIT {limit:UInt32}
"""


def show(arguments: Nested, config: Path | None, *, limit: int, as_json: bool) -> None:
    """Prints dead letters, the newest first."""
    store = Store(addresses.clickhouse_config(load(arguments, config=config)))
    letters = [dict(zip(_COLUMNS, row, strict=True)) for row in store.rows(_SQL, {"limit": limit})]
    if as_json:
        json_lines(letters)
        return
    rows = [
        (
            moment(letter["refused_ms"]),
            f"{letter['topic']}-{letter['partition']}-{letter['offset']}",
            ", ".join(dict.fromkeys(letter["reasons"])),
            "; ".join(letter["details"][:3]),
            f"{letter['value_bytes']} bytes",
            letter["refused_by"],
        )
        for letter in letters
    ]
    table(("refused", "record", "reasons", "details", "size", "refused by"), rows, empty="there are no dead letters")
