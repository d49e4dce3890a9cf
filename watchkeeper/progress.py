"""Tells how a start or a stop goes on: each step by its name, with what it brought and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.markup import escape


class Step:
    """One step that is being taken. Set `detail` to what it brought."""

    def __init__(self) -> None:
        self.detail = ""


class Progress:
    """Prints steps.

    Args:
        console: Where to; on a terminal the step that is being taken is shown too, with a spinner.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        encodes = console.encoding.lower().startswith("utf")
        self._done, self._failed, self._spinner = ("✓", "✗", "dots") if encodes else ("+", "x", "line")

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Takes a step; tells that it is done, or that it failed and how long it took either way."""
        step = Step()
        started_s = time.monotonic()
        try:
            with self.waiting(name):
                yield step
        except BaseException:
            self._tell(f"[red]{self._failed}[/]", name, step.detail, time.monotonic() - started_s)
            raise
        self.done(name, step.detail, time.monotonic() - started_s)

    @contextmanager
    def waiting(self, name: str) -> Iterator[None]:
        """Shows that something goes on, where a terminal is."""
        with self._console.status(name, spinner=self._spinner) if self._console.is_terminal else nullcontext():
            yield

    def done(self, name: str, detail: str, seconds: float) -> None:
        """Tells that a step is done."""
        self._tell(f"[green]{self._done}[/]", name, detail, seconds)

    def say(self, sentence: str) -> None:
        """Prints a sentence."""
        self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def _tell(self, symbol: str, name: str, detail: str, seconds: float) -> None:
        self._console.print(
            f"{symbol} {name:<11} {escape(detail):<44} [dim]{seconds:6.2f} s[/]", highlight=False, soft_wrap=True
        )
