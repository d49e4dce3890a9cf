"""`make chaos`: every fault many times, and a table of what came of it. The exit code is 0 if all was exact."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.perform import Outcome, perform

HEADINGS = ("fault", "N", "seed", "minutes", "samples", "rollups", "lost", "double")


def main() -> int:
    """Performs what was asked for, and prints each line as it is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("which", nargs="*", choices=[*FAULTS, []], metavar="|".join(FAULTS))
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--times", type=int, help="how many times each, instead of its own number")
    asked = parser.parse_args()
    _print(HEADINGS)
    _print(["---"] * len(HEADINGS))
    exact = True
    for name in asked.which or FAULTS:
        fault = FAULTS[name]
        with tempfile.TemporaryDirectory(prefix="watchkeeper-chaos-") as folder:
            outcome = perform(fault, count=asked.times or fault.long, seed=asked.seed, folder=Path(folder))
        _print(_line(fault.title, outcome))
        exact = exact and outcome.exact
    return 0 if exact else 1


def _line(title: str, outcome: Outcome) -> list[str]:
    found = outcome.found
    numbers = (outcome.count, outcome.seed, f"{outcome.seconds / 60:.1f}", found.samples, found.rollups)
    return [title, *map(str, numbers), str(found.lost + outcome.unsent + found.unequal), str(found.double)]


def _print(cells: list[str] | tuple[str, ...]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
