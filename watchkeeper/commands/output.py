"""How subcommands print: a table for people, tab-separated lines for pipes, JSON lines for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.text import Text


def json_lines(rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line."""
    for row in rows:
        print(json.dumps(row, ensure_ascii=False, default=str))


def table(columns: Sequence[str], rows: Sequence["Sequence[str | Text]"], *, empty: str) -> None:
    """A table as wide as the terminal; tab-separated lines with a heading where no terminal is.

    Args:
        columns: Titles.
        rows: Cells, as many as columns.
        empty: What to say when there are no rows.
    """
    if not rows:
        print(empty)
    elif sys.stdout.isatty():
        _drawn(columns, rows)
    else:
        print("\t".join(columns))
        for row in rows:
            print("\t".join(str(cell).replace("\t", " ").replace("\n", " ") for cell in row))


def _drawn(columns: Sequence[str], rows: Sequence["Sequence[str | Text]"]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for title in columns:
        # Folded, never cut: the end of a summary or of a time is what someone looks for.
        drawn.add_column(title, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    Console().print(drawn)
