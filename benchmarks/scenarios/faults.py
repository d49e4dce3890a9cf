"""Faults of which the seed chooses size, time and place. What is true is known by construction."""

import math
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.scenarios.platform import MACHINES, QUIET_S, ROUTES, STEP_S, Platform, begins_s, one_of

FLEET = tuple(f"web-{number}" for number in range(100))
LOOK_BACK_S = 1_320
"""Before what a forecast is to find, which looks back half an hour: so much more."""


class Fault(NamedTuple):
    """Something that is wrong.

    Attributes:
        from_s: When it begins to matter.
        about: Values of an alert's dimensions that it strikes; an alert without dimensions is about everything.
        cause_s: When what leads to it begins, if that is earlier.
    """

    from_s: int
    to_s: int
    about: frozenset[str]
    cause_s: int | None = None


def crash(platform: Platform) -> Fault:
    """A machine dies."""
    begin, end = _window(platform, 300, 900)
    struck = one_of(platform, MACHINES)
    platform.alive = lambda machine, at_s: not (machine == struck and begin <= at_s < end)
    return Fault(begin, end, frozenset({struck}))


def silent_source(platform: Platform) -> Fault:
    """A machine is cut off. It keeps what it measures, and sends it when it is back."""
    begin, end = _window(platform, 300, 900)
    struck = one_of(platform, MACHINES)
    platform.late_s = lambda machine, at_s: end - at_s if machine == struck and begin <= at_s < end else 0
    return Fault(begin, end, frozenset({struck}))


def clock_jump(platform: Platform) -> Fault:
    """The clock of a machine jumps ahead by two to fourteen minutes.

    Where ticks tell the log's clock, as here, a sender is believed that is ahead by less than `ahead_bound_ms`, a
    quarter of an hour (ADR 3): what it sends is not seen before its time has come. So it is as silent as a dead one,
    until then or until its clock is set right, and its operator must hear of it. Clocks that are behind or further
    ahead are corrected, and where the broker stamps records all are: see `habits.clock_off`.
    """
    begin, end = _window(platform, 300, 900)
    struck, ahead_s = one_of(platform, MACHINES), int(platform.noise.integers(120, 840))
    platform.ahead_s = lambda machine, at_s: ahead_s if machine == struck and begin <= at_s < end else 0
    return Fault(begin, end, frozenset({struck}))


def hang(platform: Platform) -> Fault:
    """A service answers nothing and tells nothing, and its machine is well."""
    begin, end = _window(platform, 300, 900)
    struck = one_of(platform, tuple(ROUTES))
    platform.requests = lambda service, _route, at_s: 0.0 if service == struck and begin <= at_s < end else 40.0
    return Fault(begin, end, frozenset({struck}))


def error_burst(platform: Platform) -> Fault:
    """Requests of a service fail."""
    begin, end = _window(platform, 180, 900)
    struck, part = one_of(platform, tuple(ROUTES)), float(platform.noise.uniform(0.06, 0.6))
    platform.errors = lambda service, _route, at_s: part if service == struck and begin <= at_s < end else 0.002
    return Fault(begin, end, frozenset({struck}))


def bad_route(platform: Platform) -> Fault:
    """One route of a service fails."""
    begin, end = _window(platform, 240, 900)
    struck, part = one_of(platform, tuple(ROUTES)), float(platform.noise.uniform(0.3, 0.9))
    bad = one_of(platform, ROUTES[struck])
    platform.errors = lambda service, route, at_s: (
        part if (service, route) == (struck, bad) and begin <= at_s < end else 0.002
    )
    return Fault(begin, end, frozenset({struck, bad}))


def slow_creep(platform: Platform) -> Fault:
    """Requests get slower and slower. It matters from where their 95th percentile passes a second."""
    begin, end = _window(platform, 900, 1200)
    struck, doubles_s = one_of(platform, tuple(ROUTES)), float(platform.noise.uniform(60, 150))
    platform.duration_s = lambda service, at_s: (
        0.12 * min(40.0, 2 ** ((at_s - begin) / doubles_s)) if service == struck and begin <= at_s < end else 0.12
    )
    passes_s = begin + int(doubles_s * math.log2(1 / (0.12 * math.exp(1.645 * 0.4))))
    return Fault(passes_s, end, frozenset({struck}), begin)


def leak(platform: Platform) -> Fault:
    """Memory of a machine fills. It matters from half an hour before it is full, or as soon as that is."""
    begin = QUIET_S + LOOK_BACK_S
    struck, per_s = one_of(platform, MACHINES), float(platform.noise.uniform(0.5, 0.75)) / 3600
    platform.memory = lambda machine, at_s: (
        0.45 + min(0.54, max(0, at_s - begin) * per_s) if machine == struck else 0.55
    )
    full_s = begin + int(0.54 / per_s)
    return Fault(full_s - 1_800, platform.seconds, frozenset({struck}), begin)


def disk_fill(platform: Platform) -> Fault:
    """A file system fills. It matters from where a tenth of it was written: less is a large file."""
    begin = begins_s(platform) + LOOK_BACK_S
    struck, per_s = one_of(platform, MACHINES), float(platform.noise.uniform(0.35, 2.0)) / 3600
    platform.disk = lambda machine, at_s: 0.60 + (min(0.39, max(0, at_s - begin) * per_s) if machine == struck else 0.0)
    return Fault(begin + int(0.10 / per_s), platform.seconds, frozenset({struck}), begin)


def partition_loss(platform: Platform) -> Fault:
    """Nobody reads a partition of the queue: its messages wait."""
    begin, end = _window(platform, 600, 1200)
    per_s = float(platform.noise.uniform(20, 200))
    platform.lag = lambda at_s: 60.0 + (max(0, at_s - begin) * per_s if at_s < end else 0.0)
    return Fault(begin, end, frozenset({"orders"}))


def queue_lag(platform: Platform) -> Fault:
    """Who reads the queue is a little too slow. It matters from where a thousand messages wait."""
    begin, end = _window(platform, 900, 1200)
    per_s = float(platform.noise.uniform(4, 20))
    platform.lag = lambda at_s: 60.0 + (max(0, at_s - begin) * per_s if at_s < end else 0.0)
    return Fault(begin + int(940 / per_s), end, frozenset({"orders"}), begin)


def bad_host(platform: Platform) -> Fault:
    """One machine of a hundred is busy, the others are not; each has work of its own."""
    begin, end = _window(platform, 600, 1200)
    platform.machines, platform.only_cpu = FLEET, True
    struck, busy = one_of(platform, FLEET), float(platform.noise.uniform(0.85, 0.98))
    usual = dict(zip(FLEET, platform.noise.normal(0.35, 0.04, len(FLEET)).tolist(), strict=True))
    platform.cpu = lambda machine, at_s: busy if machine == struck and begin <= at_s < end else usual[machine]
    return Fault(begin, end, frozenset({struck}))


def login_burst(platform: Platform) -> Fault:
    """Somebody guesses passwords."""
    begin, end = _window(platform, 180, 600)
    each = float(platform.noise.uniform(25, 200))
    platform.logins = lambda at_s: each if begin <= at_s < end else 1.5
    return Fault(begin, end, frozenset())


def _window(platform: Platform, least_s: int, most_s: int) -> tuple[int, int]:
    begin = begins_s(platform)
    length_s = int(platform.noise.integers(least_s, most_s)) // STEP_S * STEP_S
    return begin, min(platform.seconds, begin + length_s)


FAULTS: tuple[Callable[[Platform], Fault], ...] = (
    *(crash, hang, error_burst, slow_creep, leak, disk_fill, partition_loss, silent_source, bad_host, bad_route),
    *(queue_lag, clock_jump, login_burst),
)
SLOW = (leak, disk_fill)
"""Those that take an hour."""
