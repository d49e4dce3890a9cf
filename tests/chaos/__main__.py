"""`make chaos`: every fault many times, and a table of what came of it. The exit code is 0 if all was exact."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from schemas.errors import WatchkeeperError
from tests.chaos.faults import FAULTS
from tests.chaos.perform import Fault, Outcome, perform, wrong_minutes

HEADINGS = ("fault", "N", "seed", "minutes", "samples", "windows", "lost", "double", "")


def main() -> int:
    """Performs what was asked for, and prints each line as it is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("which", nargs="*", choices=[*FAULTS, []], metavar="|".join(FAULTS))
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--times", type=int, help="how many times each, instead of its own number")
    asked = parser.parse_args()
    # That brokers are away is what it is about.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    _print(HEADINGS)
    _print(["---"] * len(HEADINGS))
    exact = [_performed(name, FAULTS[name], asked.times, asked.seed) for name in asked.which or FAULTS]
    return 0 if all(exact) else 1


def _performed(name: str, fault: Fault, times: int | None, seed: int) -> bool:
    """Prints the line of a fault; whether all was as it must be."""
    count = times or fault.long
    with _shown(f"{name}, {count} times"), tempfile.TemporaryDirectory(prefix="watchkeeper-chaos-") as folder:
        try:
            with fault.stage(Path(folder), seed) as stage:
                outcome = perform(fault, stage, name=name, count=count, seed=seed)
                minutes = wrong_minutes(stage)
        except (AssertionError, WatchkeeperError) as wrong:
            _print([fault.title, str(count), str(seed), *[""] * 5, f"FAILED: {wrong}"])
            return False
    _print(_line(fault.title, outcome, lost=outcome.lost + minutes))
    return not (outcome.lost or outcome.double or minutes)


def _shown(what: str) -> Progress:
    """What is going on, and for how long, on standard error: a terminal forgets it when it is over."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    progress.add_task(what, total=None)
    return progress


def _line(title: str, outcome: Outcome, *, lost: int) -> list[str]:
    found = outcome.found
    numbers = (outcome.count, outcome.seed, f"{outcome.seconds / 60:.1f}", found.samples, found.windows)
    return [title, *map(str, (*numbers, lost, outcome.double)), outcome.notes]


def _print(cells: list[str] | tuple[str, ...]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
