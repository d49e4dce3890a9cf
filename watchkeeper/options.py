"""Options that many subcommands share."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of the instance.", metavar="DIR", show_default=False)
]
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file to read.", metavar="FILE", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Limit = Annotated[int, typer.Option("--limit", help="At most so many.", min=1, max=100_000)]
