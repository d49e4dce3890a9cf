"""Load in which nothing is wrong, in columns: the seasons of days and weeks, with noise.

What is measured each ten seconds is added up to rows of a minute at once, as a rollup of a minute would do it.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenarios.platform import APP, MACHINES
from engine.sketch import buckets_of
from schemas.rollup_wire import Row, Rows
from schemas.samples import Kind
from schemas.series import Series, series_of
from schemas.structs import KindName

STEP_S, MINUTE_S, HOUR_S, DAY_S = 10, 60, 3_600, 86_400
TOPIC = EPOCH = "quiet"
REQUESTS, FAILING, LOGINS, DURATION_S, LAG = 40.0, 0.002, 1.5, 0.12, 60.0
"""Each ten seconds, at the middle of the swing; the second is a part of the first."""

DURATIONS = 3
"""So many requests are timed each ten seconds."""

SERVICES = ("shop", "mail")
ROUTES = [{"service": service, "route": route} for service in SERVICES for route in ("/", "/a", "/b", "/c")]
QUEUES = [(f"queue-{number}", {"queue": f"orders-{number}"}) for number in range(5)]
DOORS = ("app", "vpn", "mail-1")
_ROOT = {"system.filesystem.mountpoint": "/"}

_EACH = MINUTE_S // STEP_S
SERIES = 4 * len(MACHINES) + len(SERVICES) + 2 * len(ROUTES) + len(QUEUES) + len(DOORS)
SAMPLES = _EACH * (SERIES + (DURATIONS - 1) * len(SERVICES))
"""Of a minute."""

_ZEROS = "0" * 16
_Floats = NDArray[np.float64]


class Drawn(NamedTuple):
    """Values of some series of one metric: by series, minute, and place in the minute.

    Attributes:
        sketched: Whether a rule asks for quantiles.
    """

    series: Sequence[Series]
    values: _Floats
    kind: KindName = "gauge"
    sketched: bool = False


class Load:
    """What one platform of `SERIES` series measures.

    Args:
        heavy: Whether noise has heavy tails: Student's t with three degrees of freedom, and counts that come in bursts.
        begin_ms: A midnight.
    """

    def __init__(self, noise: np.random.Generator, *, heavy: bool, begin_ms: int) -> None:
        self._noise, self._heavy, self._begin_ms = noise, heavy, begin_ms
        self._peak_s = float(noise.uniform(0, DAY_S))
        self._cpu = noise.uniform(0.3, 0.45, (len(MACHINES), 1))

    def minutes(self, hours: int) -> Iterator[tuple[int, list[Rows]]]:
        """Of each minute, where it ends in epoch milliseconds, and the rows of every metric."""
        for hour in range(hours):
            every = [list(self._rows(hour, one)) for one in self._hour(hour)]
            for minute, rows in enumerate(zip(*every, strict=True), start=1):
                yield self._begin_ms + (hour * HOUR_S + minute * MINUTE_S) * 1000, list(rows)

    def _hour(self, hour: int) -> Iterator[Drawn]:
        at_s = hour * HOUR_S + np.arange(0, HOUR_S, STEP_S)
        levels: tuple[tuple[str, dict[str, str], _Floats, float], ...] = (
            ("system.cpu.utilization", {}, self._cpu * self._season(at_s, 0.5), 0.03),
            ("system.memory.utilization", {}, 0.55 * self._season(at_s, 0.1), 0.003),
            ("system.filesystem.utilization", _ROOT, 0.60 * self._season(at_s, 0.03), 0.0003),
        )
        for metric, about, level, spread in levels:
            values = level + self._tails((len(MACHINES), len(at_s)), spread)
            yield Drawn(self._of(metric, [(one, about) for one in MACHINES]), np.clip(values, 0, 1))
        yield Drawn(self._of("system.uptime", [(one, {}) for one in MACHINES]), np.tile(1e6 + at_s, (len(MACHINES), 1)))
        lag = LAG * self._season(at_s, 0.5) * np.exp(self._tails((len(QUEUES), len(at_s)), 0.3))
        yield Drawn(self._of("messaging.lag", QUEUES), lag)
        often = np.repeat(self._season(at_s, 0.3), DURATIONS)
        took = DURATION_S * often * np.exp(self._tails((len(SERVICES), len(often)), 0.4))
        timed = [(APP, {"service": one}) for one in SERVICES]
        yield Drawn(self._of("http.server.request.duration", timed), took, sketched=True)
        yield self._requests(at_s)
        logins = self._noise.poisson(LOGINS * self._bursts((len(DOORS), len(at_s))))
        yield Drawn(self._of("auth.failures", [(one, {}) for one in DOORS], "delta"), logins.astype(float), "delta")

    def _requests(self, at_s: NDArray[np.int64]) -> Drawn:
        shape = len(ROUTES), len(at_s)
        counts = self._noise.poisson(REQUESTS * self._season(at_s, 0.5) * self._bursts(shape))
        failed = self._noise.binomial(counts, np.minimum(FAILING * self._bursts(shape), 1))
        about = [(APP, {**route, "outcome": outcome}) for outcome in ("error", "ok") for route in ROUTES]
        values = np.concatenate([failed, counts - failed]).astype(float)
        return Drawn(self._of("http.server.requests", about, "delta"), values, "delta")

    def _season(self, at_s: NDArray[np.int64], swing: float) -> _Floats:
        """About one: up and down each day, and half as much at weekends."""
        weekend = at_s // DAY_S % 7 >= 5
        wave = np.sin(2 * math.pi * (at_s - self._peak_s) / DAY_S)
        return 1 + swing * np.where(weekend, 0.5, 1.0) * wave

    def _tails(self, shape: tuple[int, int], spread: float) -> _Floats:
        """Noise about zero, of the same variance whether its tails are heavy or not."""
        if self._heavy:
            return spread / math.sqrt(3) * self._noise.standard_t(3, shape)
        return self._noise.normal(0, spread, shape)

    def _bursts(self, shape: tuple[int, int]) -> _Floats:
        """What rates are multiplied by: one, or on average one."""
        return self._noise.gamma(2, 0.5, shape) if self._heavy else np.ones(shape)

    @staticmethod
    def _of(metric: str, about: Sequence[tuple[str, dict[str, str]]], kind: KindName = "gauge") -> list[Series]:
        return [series_of(metric, source, dimensions, Kind(kind)) for source, dimensions in about]

    def _rows(self, hour: int, drawn: Drawn) -> Iterator[Rows]:
        """Those of each minute of an hour."""
        values = drawn.values.reshape(len(drawn.series), HOUR_S // MINUTE_S, -1)
        n, metric = values.shape[2], drawn.series[0].metric
        parts = [values.sum(2), values.min(2), values.max(2), values[:, :, 0], values[:, :, -1]]
        columns = np.stack(parts, axis=2).tolist()
        sketches = self._sketches(values) if drawn.sketched else [[{}] * values.shape[1]] * values.shape[0]
        for minute in range(values.shape[1]):
            start_ms = self._begin_ms + (hour * HOUR_S + minute * MINUTE_S) * 1000
            last_ms = start_ms + (MINUTE_S - STEP_S) * 1000
            rows = []
            for one, of_series, sketch in zip(drawn.series, columns, sketches, strict=True):
                total, least, most, first, last = of_series[minute]
                row = Row(
                    series=one.hex,
                    source=one.source,
                    dimensions=one.labels,
                    kind=drawn.kind,
                    start_ms=start_ms,
                    ver=start_ms,
                    n=n,
                    sum=total,
                    min=least,
                    max=most,
                    first=first,
                    first_ms=start_ms,
                    last=last,
                    last_ms=last_ms,
                    increase=0.0,
                    h_sum=_ZEROS,
                    h_xor=_ZEROS,
                    positive=sketch[minute],
                )
                rows.append(row)
            yield Rows("1m.v1", MINUTE_S * 1000, metric, TOPIC, EPOCH, 0, 0, rows)

    @staticmethod
    def _sketches(values: _Floats) -> list[list[dict[int, int]]]:
        return [[dict(Counter(minute)) for minute in of_series] for of_series in buckets_of(values).tolist()]
