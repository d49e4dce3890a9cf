"""What operators do every day, and what happens to them: it only looks like a fault, and must raise nothing."""

from collections.abc import Callable

from benchmarks.scenarios.platform import COUNTING, MACHINES, ROUTES, Platform, begins_s, one_of


def deploy(platform: Platform) -> None:
    """All machines are busy for two minutes, some requests fail, some are slow."""
    begin = begins_s(platform)
    platform.cpu = lambda _machine, at_s: 0.9 if begin <= at_s < begin + 120 else 0.35
    platform.errors = lambda _service, _route, at_s: 0.015 if begin <= at_s < begin + 40 else 0.002
    platform.duration_s = lambda _service, at_s: 0.4 if begin <= at_s < begin + 60 else 0.12


def backup(platform: Platform) -> None:
    """A machine is busy for four minutes and writes some of its disk, which it frees at the end."""
    begin = begins_s(platform)
    struck = one_of(platform, MACHINES)
    platform.cpu = lambda machine, at_s: 0.6 if machine == struck and begin <= at_s < begin + 240 else 0.35
    platform.disk = lambda machine, at_s: (
        0.60 + (0.04 * (at_s - begin) / 240 if machine == struck and begin <= at_s < begin + 240 else 0.0)
    )


def counter_reset(platform: Platform) -> None:
    """A service begins anew, so quickly that only its counters tell of it: they count from zero."""
    platform.begun_s[COUNTING] = begins_s(platform)


def restart(platform: Platform) -> None:
    """A service restarts: half a minute without requests, then more of them than usual. Its counters count from zero."""
    begin = begins_s(platform)
    struck = one_of(platform, tuple(ROUTES))
    platform.begun_s[struck] = begin
    platform.requests = lambda service, _route, at_s: (
        40.0 if service != struck or at_s < begin or at_s > begin + 90 else 0.0 if at_s < begin + 30 else 70.0
    )


def late_batch(platform: Platform) -> None:
    """A machine keeps what it measures for forty seconds, and sends it then."""
    begin = begins_s(platform)
    struck = one_of(platform, MACHINES)
    platform.late_s = lambda machine, at_s: begin + 40 - at_s if machine == struck and begin <= at_s < begin + 40 else 0


def scale_out(platform: Platform) -> None:
    """Two machines are added, which are busy at first."""
    begin = begins_s(platform)
    new = ("web-6", "web-7")
    platform.machines = (*MACHINES, *new)
    platform.alive = lambda machine, at_s: machine not in new or at_s >= begin
    platform.cpu = lambda machine, at_s: 0.97 if machine in new and at_s < begin + 90 else 0.35


def rush(platform: Platform) -> None:
    """Three times as many requests for ten minutes, on all machines."""
    begin = begins_s(platform)
    platform.requests = lambda _service, _route, at_s: 120.0 if begin <= at_s < begin + 600 else 40.0
    platform.cpu = lambda _machine, at_s: 0.8 if begin <= at_s < begin + 600 else 0.35
    platform.lag = lambda at_s: 400.0 if begin <= at_s < begin + 600 else 60.0


def clock_off(platform: Platform) -> None:
    """The clock of a machine jumps behind by some minutes up to an hour, or ahead by more than a quarter of one.

    The pipeline corrects both (ADR 3). Clocks that are ahead by less are believed: see `faults.clock_jump`.
    """
    begin = begins_s(platform)
    end = begin + 10 * int(platform.noise.integers(30, 90))
    struck = one_of(platform, MACHINES)
    least_s, most_s, sign = (120, 3_600, -1) if platform.noise.integers(2) else (910, 3_600, 1)
    ahead_s = sign * int(platform.noise.integers(least_s, most_s))
    platform.ahead_s = lambda machine, at_s: ahead_s if machine == struck and begin <= at_s < end else 0


HABITS: tuple[Callable[[Platform], None], ...] = (
    *(deploy, backup, counter_reset, restart, late_batch, scale_out, rush, clock_off),
)
