"""What children write to their standard error: one file for each, kept short, and its last lines."""

import shutil
from pathlib import Path

LIMIT_BYTES = 4_000_000
KEPT = 2


def rotate(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Moves a long file's text to `NAME.1`, and that to `NAME.2`. Returns whether it did.

    The text is copied and the file emptied, since its writer keeps it open (for appending) and knows of nothing. What
    is written between the two steps is lost.
    """
    if not path.exists() or path.stat().st_size <= limit_bytes:
        return False
    for number in range(KEPT, 1, -1):
        older = _numbered(path, number - 1)
        if older.exists():
            older.replace(_numbered(path, number))
    shutil.copyfile(path, _numbered(path, 1))
    with path.open("r+b") as file:
        file.truncate()
    return True


def last_lines(path: Path, count: int = 3) -> list[str]:
    """The last lines that are not empty, for a person who asks why it died."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8_192))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-count:]


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
