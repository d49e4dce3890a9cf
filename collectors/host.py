"""The host collector: every probe each tick, each within its own deadline, none in the way of another."""

import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from collectors.probes import Probe, Reading
from schemas.catalogue import BY_NAME

DEADLINE_S = 0.5
SLOW = {"processes": 5, "temperatures": 5, "load": 5}
"""Probes that are read each so many ticks: they cost more than they change."""

Sample = dict[str, Any]


@dataclass(slots=True)
class _Result:
    readings: Sequence[Reading]
    duration_s: float
    error: str = ""


class ProbeWorker:
    """One probe in a thread of its own. While it hangs it is not asked again, and each asking is a miss."""

    def __init__(self, name: str, probe: Probe) -> None:
        self.name = name
        self._probe = probe
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._answer: _Result | None = None
        self._done = threading.Event()
        self._done.set()
        self._thread = threading.Thread(target=self._run, name=f"probe-{name}", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Starts a reading, unless the last one still hangs."""
        if self._done.is_set():
            self._answer = None
            self._done.clear()
            self._asked.put(True)

    def answer(self, deadline: float) -> _Result | None:
        """The reading, if it is there at `deadline` (monotonic seconds)."""
        self._done.wait(max(0.0, deadline - time.monotonic()))
        return self._answer if self._done.is_set() else None

    def _run(self) -> None:
        while self._asked.get():
            started = time.perf_counter()
            try:
                readings = list(self._probe())
                self._answer = _Result(readings, time.perf_counter() - started)
            except (OSError, psutil.Error, ValueError, KeyError, AttributeError, NotImplementedError) as error:
                self._answer = _Result((), time.perf_counter() - started, type(error).__name__)
            self._done.set()


class HostCollector:
    """Collects this host's samples.

    Args:
        probes: By name; each may block for as long as it likes.
        deadline_s: How long a tick waits for its probes, all of them together.
    """

    def __init__(self, probes: Mapping[str, Probe], *, deadline_s: float = DEADLINE_S) -> None:
        self._workers = [ProbeWorker(name, probe) for name, probe in probes.items()]
        self._deadline_s = deadline_s
        self._tick = 0
        self.misses: dict[str, int] = dict.fromkeys(probes, 0)

    def collect(self) -> list[Sample]:
        """The samples of this moment. A probe that failed or did not answer is a sample of `watchkeeper.probe.misses`.

        Blocks for `deadline_s` at most.
        """
        due = [worker for worker in self._workers if self._tick % SLOW.get(worker.name, 1) == 0]
        self._tick += 1
        for worker in due:
            worker.ask()
        deadline = time.monotonic() + self._deadline_s
        samples: list[Sample] = []
        for worker in due:
            samples += self._samples(worker.name, worker.answer(deadline))
        return samples

    def _samples(self, name: str, result: _Result | None) -> list[Sample]:
        if result is None or result.error:
            self.misses[name] += 1
            reason = "timeout" if result is None else result.error
            return [_sample(Reading("watchkeeper.probe.misses", 1.0, {"probe": name, "reason": reason}))]
        duration = Reading("watchkeeper.probe.duration", result.duration_s, {"probe": name})
        return [_sample(reading) for reading in (*result.readings, duration)]


def _sample(reading: Reading) -> Sample:
    sample: Sample = {
        "metric": reading.metric,
        "value": float(reading.value),
        "kind": BY_NAME[reading.metric].kind.value,
    }
    if reading.dimensions:
        sample["dimensions"] = dict(reading.dimensions)
    return sample
