"""What every peer tells at its end: its processor time, and what its rows hold, so that none wins by being wrong."""

import json
import os
import sys
import time
from typing import NoReturn

WINDOW_MS = 10_000
LATENESS_MS = 2_000
BOOTSTRAP, TOPIC, RECORDS = [*sys.argv[1:], "", "", "0"][:3]


class Meter:
    """Processor time of this process, all threads, from `begin` on.

    Attributes:
        rows: How many rows it made.
        count: Samples in them.
        total: Sum of the values in them.
    """

    def __init__(self) -> None:
        self.rows = self.count = 0
        self.total = 0.0
        self._began: tuple[float, float] | None = None
        self._used: tuple[float, float] | None = None

    def begin(self) -> None:
        """From the first call on it counts: where the peer tells when it is assigned partitions, else at a record."""
        self._began = self._began or _now_s()

    def stop(self) -> None:
        """What comes from here on is not counted."""
        if self._began and not self._used:
            cpu_s, wall_s = _now_s()
            self._used = cpu_s - self._began[0], wall_s - self._began[1]

    def add(self, rows: int, count: int, total: float) -> None:
        """Takes down rows that were made."""
        self.rows += rows
        self.count += count
        self.total += total

    def report(self) -> NoReturn:
        """Prints what was used, and ends the process."""
        self.stop()
        cpu_s, wall_s = self._used or (0.0, 0.0)
        told = {"cpu_s": cpu_s, "wall_s": wall_s, "records": int(RECORDS)}
        told |= {"rows": self.rows, "count": self.count, "total": self.total}
        # Past whoever has taken standard output for a log, and on a line of its own.
        os.write(1, f"\n{json.dumps(told)}\n".encode())
        os._exit(0)


def _now_s() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()
