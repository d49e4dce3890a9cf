"""`watchkeeper up`: everything on this machine."""

import asyncio
import sys
from pathlib import Path

from rich.console import Console

from schemas.errors import BadSettings
from watchkeeper.instance import DataFolder
from watchkeeper.layout import Layout
from watchkeeper.sources import Nested, load
from watchkeeper.up import Options, Up

PLATFORMS = ("linux", "darwin")


def run(arguments: Nested, *, config: Path | None, for_s: float | None, screen: bool, picture: Path | None) -> int:
    """Runs until told to stop; the exit code.

    Raises:
        BadSettings: Something stands in the way that the user can remove.
        PermanentError: The data folder is in use, or cannot be used.
        TransientError: Something did not start.
    """
    if sys.platform not in PLATFORMS:
        raise BadSettings(f"`watchkeeper up` runs on Linux and macOS, not on {sys.platform}; on Windows, use WSL")
    loaded = load(arguments, config=config)
    for note in loaded.notes:
        print(f"note: {note}", file=sys.stderr)
    if picture is not None and not picture.absolute().parent.is_dir():
        raise BadSettings(f"--picture {picture}: there is no folder {picture.absolute().parent}: create it first")
    layout, options = Layout(settings=loaded.settings), Options(for_s=for_s, live=screen, picture=picture)
    with DataFolder(layout.folder) as folder:
        return asyncio.run(_run(layout, folder, options))


async def _run(layout: Layout, folder: DataFolder, options: Options) -> int:
    return await Up(layout, folder, options, Console()).run()
