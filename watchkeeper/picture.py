"""Draws the live screen into an SVG file, for the README: `watchkeeper up --picture FILE`."""

import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from watchkeeper.screen import screen
from watchkeeper.view import View

COLUMNS = 112
_THEME = TerminalTheme(
    background=(24, 26, 31),
    foreground=(214, 218, 226),
    normal=[
        (60, 64, 72), (235, 110, 110), (126, 200, 130), (229, 192, 98),
        (110, 168, 240), (198, 140, 230), (92, 196, 208), (214, 218, 226),
    ],
)  # fmt: skip
_WEB_FONTS = re.compile(r"\s*@font-face\s*\{.*?\}", re.DOTALL)


def draw(view: View, path: Path) -> None:
    """Writes the file. It loads nothing from the network: the reader's own monospaced font is used."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(screen(view))
    svg = console.export_svg(title="watchkeeper up", theme=_THEME, unique_id="screen")
    path.write_text(_WEB_FONTS.sub("", svg), encoding="utf-8")
