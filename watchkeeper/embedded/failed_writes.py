"""What becomes of a file that could not be written, as on a disk that is full.

The engine goes on as if it were complete: it answers that the rows are stored, and puts a broken part in the place of
those that it merged. But it counts. So the process ends itself before it acknowledges anything. At its next start
ClickHouse looks at every part, puts aside what is not complete, and takes back what a merge had replaced, which is
still there (`engine_config.OLD_PARTS_S`).
"""

import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chdb.state.sqlitelike import Connection

EXIT_CODE = 74
"""`EX_IOERR` of sysexits.h."""

_FAILED = "SELECT count() FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteFailed' AND value > 0"


class FailedWrites:
    """Looks at the count, from any thread.

    Args:
        session: Nobody else's.
    """

    def __init__(self, session: "Connection") -> None:
        self._session = session
        self._lock = threading.Lock()

    def check(self) -> None:
        """Ends the process when any file could not be written since it began; else it returns."""
        with self._lock:
            found = self._session.query(_FAILED, "TSV").bytes()
        if found != b"0\n":
            sys.stderr.write("A file could not be written: is the disk full? ClickHouse begins with what it has\n")
            sys.stderr.flush()
            os._exit(EXIT_CODE)
