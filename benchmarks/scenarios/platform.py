"""A small platform in virtual time: what its machines, its services and its queue send each ten seconds."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.trial import Given

STEP_S = 10
QUIET_S = 660
"""Before anything happens."""

AFTER_S = 1_500
"""From then on."""

MACHINES = tuple(f"web-{number}" for number in range(6))
ROUTES: Mapping[str, Sequence[str]] = {"shop": ("/", "/cart", "/pay"), "mail": ("/", "/send", "/list")}
APP, COUNTING = "app", "mail"
"""The source of what services tell, and the service that counts its requests since it began; the other tells how many
there were since it told last."""

Noise = np.random.Generator


@dataclass(slots=True)
class Platform:
    """What is measured each ten seconds; faults and habits change some of it. Times are seconds since the begin.

    Attributes:
        cpu: Of each machine, by second; so are `memory` and `disk`.
        requests: By service, route and second, in ten seconds; so is `errors`, the part of them that fails.
        duration_s: Median of a service.
        alive: Whether a machine sends.
        late_s: How late what a machine measures is sent.
        ahead_s: How far the clock of a machine is ahead; negative: behind.
        begun_s: When services began that began anew, by service.
        only_cpu: Whether nothing else is measured.
    """

    noise: Noise
    seconds: int
    cpu: Callable[[str, int], float] = lambda _machine, _at_s: 0.35
    memory: Callable[[str, int], float] = lambda _machine, _at_s: 0.55
    disk: Callable[[str, int], float] = lambda _machine, _at_s: 0.60
    errors: Callable[[str, str, int], float] = lambda _service, _route, _at_s: 0.002
    requests: Callable[[str, str, int], float] = lambda _service, _route, _at_s: 40.0
    duration_s: Callable[[str, int], float] = lambda _service, _at_s: 0.12
    lag: Callable[[int], float] = lambda _at_s: 60.0
    logins: Callable[[int], float] = lambda _at_s: 1.5
    alive: Callable[[str, int], bool] = lambda _machine, _at_s: True
    late_s: Callable[[str, int], int] = lambda _machine, _at_s: 0
    ahead_s: Callable[[str, int], int] = lambda _machine, _at_s: 0
    begun_s: dict[str, int] = field(default_factory=dict)
    machines: Sequence[str] = MACHINES
    only_cpu: bool = False

    def samples(self) -> Iterator[Given]:
        """Everything that is sent."""
        counters: Counter[tuple[str, str, str]] = Counter()
        for at_s in range(0, self.seconds, STEP_S):
            for machine in self.machines:
                if self.alive(machine, at_s):
                    yield from self._machine(machine, at_s)
            if not self.only_cpu:
                yield from self._services(at_s, counters)
                lag = max(0.0, self.lag(at_s) * self.noise.lognormal(0, 0.3))
                yield Given(at_s * 1000, "queue-1", "messaging.lag", "gauge", {"queue": "orders"}, lag)
                failed = float(self.noise.poisson(self.logins(at_s)))
                yield Given(at_s * 1000, APP, "auth.failures", "delta", {}, failed)

    def _machine(self, machine: str, at_s: int) -> Iterator[Given]:
        late_ms, ahead_ms = self.late_s(machine, at_s) * 1000, self.ahead_s(machine, at_s) * 1000

        def gauge(metric: str, value: float, most: float, about: Mapping[str, str]) -> Given:
            kept = min(max(value, 0.0), most)
            return Given(at_s * 1000, machine, metric, "gauge", dict(about), kept, late_ms, ahead_ms)

        cpu, memory, disk = self.noise.normal(0, (0.03, 0.003, 0.0003)).tolist()
        yield gauge("system.cpu.utilization", self.cpu(machine, at_s) + cpu, 1, {})
        if not self.only_cpu:
            root = {"system.filesystem.mountpoint": "/"}
            yield gauge("system.memory.utilization", self.memory(machine, at_s) + memory, 1, {})
            yield gauge("system.filesystem.utilization", self.disk(machine, at_s) + disk, 1, root)
            yield gauge("system.uptime", 1e6 + at_s, 1e9, {})

    def _services(self, at_s: int, counters: Counter[tuple[str, str, str]]) -> Iterator[Given]:
        for service, routes in ROUTES.items():
            if self.begun_s.get(service) == at_s:
                for key in [key for key in counters if key[0] == service]:
                    del counters[key]
            for route in routes:
                count = int(self.noise.poisson(self.requests(service, route, at_s)))
                failed = int(self.noise.binomial(count, self.errors(service, route, at_s)))
                for outcome, number in (("error", failed), ("ok", count - failed)):
                    counters[service, route, outcome] += number
                    if count:
                        yield self._counted(at_s, (service, route, outcome), number, counters)
            if self.requests(service, routes[0], at_s):
                for took in self.noise.lognormal(np.log(self.duration_s(service, at_s)), 0.4, 3).tolist():
                    metric = "http.server.request.duration"
                    yield Given(at_s * 1000, APP, metric, "gauge", {"service": service}, took)

    @staticmethod
    def _counted(at_s: int, key: tuple[str, str, str], number: int, counters: Counter[tuple[str, str, str]]) -> Given:
        about = dict(zip(("service", "route", "outcome"), key, strict=True))
        kind, value = ("cumulative", counters[key]) if key[0] == COUNTING else ("delta", number)
        return Given(at_s * 1000, APP, "http.server.requests", kind, about, float(value))


def begins_s(platform: Platform) -> int:
    """When something happens: within ten minutes."""
    return QUIET_S + int(platform.noise.integers(0, 60)) * STEP_S


def one_of(platform: Platform, some: Sequence[str]) -> str:
    """Whom it strikes."""
    return str(platform.noise.choice(some))
