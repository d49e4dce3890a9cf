"""`python -m benchmarks`: measures everything, prints each figure, and writes `docs/benchmarks.md` and `.json`.

`python -m benchmarks rollup latency` measures some of it and writes their sections. With smaller numbers, or with
`--no-write`, nothing is written. `nab` needs the folder of the Numenta Anomaly Benchmark, and is left out without one.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import (
    backtest,
    collect,
    comparison,
    evaluate,
    explain,
    growth,
    latency,
    nab,
    page,
    pages,
    rest,
    rollup,
    sink,
)
from benchmarks.figures import Section
from benchmarks.options import HELP, ROOT, Options
from benchmarks.scenarios import judging, quiet

BENCHMARKS: dict[str, Callable[[Options, Progress], Section]] = {
    "rollup": rollup.run,
    "peers": comparison.run,
    "growth": growth.run,
    "sink": sink.run,
    "latency": latency.run,
    "rest": rest.run,
    "collect": collect.run,
    "evaluate": evaluate.run,
    "explain": explain.run,
    "backtest": backtest.run,
    "pages": pages.run,
    "scenarios": judging.run,
    "quiet": quiet.run,
    "nab": nab.run,
}


def main() -> int:
    """Runs what was asked for; the exit code."""
    asked = _parser().parse_args()
    options = Options(**{field.name: getattr(asked, field.name) for field in fields(Options)})
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    sections = {}
    with Progress(*columns, console=console, transient=True) as progress:
        for name in asked.which or [one for one in BENCHMARKS if one != "nab" or options.folder]:
            sections[name] = BENCHMARKS[name](options, progress)
            _show(sections[name])
    if asked.write and replace(options, folder="") == Options():
        page.write(sections, BENCHMARKS)
        print(f"Written: {page.PAGE.relative_to(ROOT)}, {page.DATA.relative_to(ROOT)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("which", nargs="*", choices=[*BENCHMARKS, []], metavar="|".join(BENCHMARKS))
    for field in fields(Options):
        kind = type(field.default)
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=kind, default=field.default, help=_help(field.name, field.default))
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True, help="write the documents")
    return parser


def _help(name: str, default: object) -> str:
    return f"{HELP[name]} ({default:,})" if isinstance(default, int | float) else HELP[name]


def _show(section: Section) -> None:
    print(section.how, flush=True)
    for figure in section.figures:
        print(figure.line, flush=True)
    for table in section.tables:
        _print_row([table.title + ":"])
        for row in (table.headings, *table.rows):
            _print_row(row)


def _print_row(cells: Sequence[str]) -> None:
    print("  " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    sys.exit(main())
