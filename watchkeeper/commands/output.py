"""How subcommands print: a table for people, tab-separated lines for pipes, JSON lines for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from watchkeeper.words import plain

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
            print("\t".join(_cell(str(cell)) for cell in row))


def _cell(text: str) -> str:
    return plain(text.replace("\t", " ").replace("\n", " "))


def _drawn(columns: Sequence[str], rows: Sequence["Sequence[str | Text]"]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for title in columns:
        # Folded, never cut: the end of a summary or of a time is what someone looks for.
        drawn.add_column(title, overflow="fold")
    for row in rows:
        # As text: what a producer called something is no markup.
        drawn.add_row(*(Text(_cell(cell)) if isinstance(cell, str) else cell for cell in row))
    Console().print(drawn)
