"""What operators do every day, and what happens to them: it only looks like a fault, and must raise nothing."""

from collections.abc import Callable

from benchmarks.scenarios.platform import COUNTING, MACHINES, ROUTES, Platform, begins_s, one_of


def deploy(platform: Platform) -> None:
    """All machines are busy for some minutes, some requests fail, some are slow."""
    begin, busy_s = begins_s(platform), int(platform.noise.integers(60, 180))
    part, slow_s = (float(platform.noise.uniform(*between)) for between in ((0.005, 0.02), (0.2, 0.5)))
    platform.cpu = lambda _machine, at_s: 0.9 if begin <= at_s < begin + busy_s else 0.35
    platform.errors = lambda _service, _route, at_s: part if begin <= at_s < begin + 40 else 0.002
    platform.duration_s = lambda _service, at_s: slow_s if begin <= at_s < begin + 60 else 0.12


def backup(platform: Platform) -> None:
    """A machine is busy for some minutes and writes some of its disk, which it frees at the end."""
    begin, lasts_s = begins_s(platform), int(platform.noise.integers(120, 300))
    struck, part = one_of(platform, MACHINES), float(platform.noise.uniform(0.01, 0.045))
    platform.cpu = lambda machine, at_s: 0.6 if machine == struck and begin <= at_s < begin + lasts_s else 0.35
    platform.disk = lambda machine, at_s: (
        0.60 + (part * (at_s - begin) / lasts_s if machine == struck and begin <= at_s < begin + lasts_s else 0.0)
    )


def counter_reset(platform: Platform) -> None:
    """A service begins anew, so quickly that only its counters tell of it: they count from zero."""
    platform.begun_s[COUNTING] = begins_s(platform)


def restart(platform: Platform) -> None:
    """A service restarts: less than a minute without requests, then more than usual. Its counters count from zero."""
    begin, pause_s = begins_s(platform), 10 * int(platform.noise.integers(1, 5))
    struck = one_of(platform, tuple(ROUTES))
    platform.begun_s[struck] = begin
    platform.requests = lambda service, _route, at_s: (
        40.0 if service != struck or not begin <= at_s < begin + 90 else 0.0 if at_s < begin + pause_s else 70.0
    )


def late_batch(platform: Platform) -> None:
    """A machine keeps what it measures for less than a minute, and sends it then."""
    begin = begins_s(platform)
    end = begin + 10 * int(platform.noise.integers(2, 6))
    struck = one_of(platform, MACHINES)
    platform.late_s = lambda machine, at_s: end - at_s if machine == struck and begin <= at_s < end else 0


def scale_out(platform: Platform) -> None:
    """Two machines are added, which are busy at first."""
    begin, busy_s = begins_s(platform), int(platform.noise.integers(60, 240))
    new = ("web-6", "web-7")
    platform.machines = (*MACHINES, *new)
    platform.alive = lambda machine, at_s: machine not in new or at_s >= begin
    platform.cpu = lambda machine, at_s: 0.97 if machine in new and at_s < begin + busy_s else 0.35


def rush(platform: Platform) -> None:
    """Two to four times as many requests for ten minutes, on all machines."""
    begin, times = begins_s(platform), float(platform.noise.uniform(2, 4))
    platform.requests = lambda _service, _route, at_s: 40.0 * (times if begin <= at_s < begin + 600 else 1.0)
    platform.cpu = lambda _machine, at_s: 0.2 + 0.15 * (times if begin <= at_s < begin + 600 else 1.0)
    platform.lag = lambda at_s: 60.0 * (2 * times if begin <= at_s < begin + 600 else 1.0)


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
