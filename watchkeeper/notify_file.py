"""The file of receivers and routes: YAML in, every fault told at once with its line, no secret repeated."""

from pathlib import Path

from operations.yaml_file import Form, parse, read
from sinks.notify.file import NotifyFile, unfit
from sinks.notify.receivers.settings import KINDS

FORM = Form(page="docs/notifications.md", part="receiver", kinds=KINDS, secret=True)


def load_notify(path: Path) -> NotifyFile:
    """Receivers and routes.

    Raises:
        BadSettings: With every fault, each as `file:line: what`.
    """
    return parse_notify(read(path, "receivers and routes"), str(path))


def parse_notify(text: bytes, name: str) -> NotifyFile:
    """Receivers and routes of a file's bytes. Raises as `load_notify`."""
    return parse(text, name, NotifyFile, unfit, FORM)
