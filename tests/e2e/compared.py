"""What a running instance holds beside what it must: every series and window, whatever the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.chaos.oracle import Key, Total
from tests.e2e.running import Running

WINDOW_MS = 10_000
_STORED = """
SELECT toString(series) AS series, toUnixTimestamp64Milli(window_start) AS start, sum(n) AS n, sum(sum) AS s,
    toString(sum(h_sum)) AS hs, toString(groupBitXor(h_xor)) AS hx
FROM watchkeeper_store.rollups FINAL WHERE topic = 'metrics.samples' GROUP BY series, window_start
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Between the log and ClickHouse, in samples; of equally many samples with other content, in series and windows.

    Attributes:
        rollups: Series and windows that were compared.
        samples: That the log holds in them.
    """

    rollups: int
    samples: int
    lost: int
    double: int
    unequal: int

    @property
    def none(self) -> bool:
        """Whether all is as it must be."""
        return not (self.lost or self.double or self.unequal)


def differences(want: Mapping[Key, Total], have: Mapping[Key, Total]) -> Differences:
    """Compares counts, sums and both hashes of each series and window."""
    nothing = Total()
    lost = double = unequal = 0
    for key in want.keys() | have.keys():
        one, other = want.get(key, nothing), have.get(key, nothing)
        lost += max(0, one.n - other.n)
        double += max(0, other.n - one.n)
        unequal += one.n == other.n and not _same(one, other)
    return Differences(
        rollups=len(want), samples=sum(total.n for total in want.values()), lost=lost, double=double, unequal=unequal
    )


def _same(one: Total, other: Total) -> bool:
    """Equal hashes; sums equal but for the order of additions."""
    hashes = (one.h_sum, one.h_xor) == (other.h_sum, other.h_xor)
    return hashes and abs(one.total - other.total) <= 1e-9 * max(abs(one.total), 1.0)


def stored(instance: Running, *, before_ms: int) -> dict[Key, Total]:
    """What ClickHouse holds of the same windows; nothing while it is away."""
    return {
        (int(row["series"]), int(row["start"])): Total(int(row["n"]), float(row["s"]), int(row["hs"]), int(row["hx"]))
        for row in instance.rows(_STORED)
        if int(row["start"]) + WINDOW_MS <= before_ms
    }
