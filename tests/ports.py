"""Loopback ports for what tests and benchmarks start."""

import os
import random
import socket
from contextlib import ExitStack

FIRST, LAST = 10_000, 32_000
"""Below 32768, from where on Linux gives ports to outgoing connections: none takes that of a killed service."""

WORKERS = 8
UP_PORTS = 9
"""So many does `watchkeeper up` open, from `port_base` on."""


def free_ports(count: int = 1) -> int:
    """A port P so that nobody listens on P .. P+count-1 now; no other worker of pytest-xdist is given any of them."""
    each = (LAST - FIRST) // WORKERS
    first = FIRST + each * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS)
    for base in random.sample(range(first, first + each - count), 100):
        if _free(base, count):
            return base
    raise AssertionError(f"no {count} free ports from {first} to {first + each}")


def _free(base: int, count: int) -> bool:
    with ExitStack() as stack:
        try:
            for port in range(base, base + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
