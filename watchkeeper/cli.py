"""The program's entry: runs a subcommand, and turns expected errors into one sentence and an exit code.

The whole command line stands in `watchkeeper.app`. Its library takes longer to import than `watchkeeper status` takes
to answer, and memory that a role never gives back; so the plainest calls are recognised here, without it.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from schemas.errors import WatchkeeperError


def main() -> None:
    """Runs the program. Expected errors end it with one sentence on standard error and exit code 1."""
    try:
        sys.exit(run(sys.argv[1:]))
    except WatchkeeperError as error:
        print(f"watchkeeper: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does. Python must not complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def run(arguments: Sequence[str]) -> int:
    """Runs a subcommand; its exit code.

    Raises:
        WatchkeeperError: With one sentence for the user.
        SystemExit: From the command line's library, with the exit code.
    """
    match arguments:
        case ["status", *options] if (plain := _plain(options)) is not None:
            from watchkeeper.commands import status

            return status.run(plain[0], as_json=plain[1])
        case ["collect" | "process" | "sink" | "notify" | "serve" as role]:
            from watchkeeper.commands import roles

            return roles.RUN[role]({}, None)
        case _:
            from watchkeeper.app import app

            app(list(arguments), prog_name="watchkeeper")
            return 0


def _plain(options: Sequence[str]) -> tuple[Path | None, bool] | None:
    """`--data-dir DIR` and `--json`, as `watchkeeper.app` defines them; None for everything else."""
    match options:
        case []:
            return None, False
        case ["--json", *rest]:
            found = _plain(rest)
            return (found[0], True) if found else None
        case ["--data-dir", folder, *rest] if not folder.startswith("-"):
            found = _plain(rest)
            return (found[0] or Path(folder), found[1]) if found else None
        case _:
            return None
