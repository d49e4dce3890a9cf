"""What happened to the instance itself: for the screen, and as a log in the data folder."""

import logging
import logging.handlers
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from watchkeeper.view import Event

KEPT = 50


class Journal:
    """Events of one instance, the newest last.

    Args:
        path: Log file; kept short.
        echo: Told of each sentence too, where no screen shows them.
    """

    def __init__(self, path: Path, *, echo: Callable[[str], None] | None = None) -> None:
        self.events: deque[Event] = deque(maxlen=KEPT)
        self._echo = echo
        self._handler = logging.handlers.RotatingFileHandler(path, maxBytes=1_000_000, backupCount=1, delay=True)

    def say(self, sentence: str) -> None:
        """Notes what happened, in one sentence."""
        at_ms = time.time_ns() // 1_000_000
        self.events.append(Event(at_ms=at_ms, text=sentence))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms / 1000))
        self._handler.emit(logging.makeLogRecord({"msg": f"{stamp} {sentence}"}))
        if self._echo is not None:
            self._echo(sentence)

    def close(self) -> None:
        """Closes the file."""
        self._handler.close()
