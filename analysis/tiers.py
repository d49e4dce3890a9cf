"""Which windows answer a question: the coarsest ones that its step is made of, and that are still kept."""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.rollups import ROLLUP_10S

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Tier:
    """Windows of one length.

    Attributes:
        rollup: Definition and version of its rows.
        rows: What they are read from, as `r`; a window may have several rows there.
        combined: What has one row for each window, as `r`.
    """

    name: str
    window_ms: int
    rollup: str
    rows: str
    combined: str


TIERS = (
    Tier(
        "10s", 10 * SECOND_MS, ROLLUP_10S, "watchkeeper_store.rollups AS r FINAL", "watchkeeper_store.combined_10s AS r"
    ),
    *(
        Tier(name, size_ms, f"{name}.v1", table, table)
        for name, size_ms in (("1m", MINUTE_MS), ("1h", HOUR_MS), ("1d", DAY_MS))
        for table in (f"watchkeeper_store.rollups_{name} AS r FINAL",)
    ),
)

STEPS_MS = tuple(
    count * unit_ms
    for unit_ms, counts in (
        (SECOND_MS, (10, 20, 30)),
        (MINUTE_MS, (1, 2, 5, 10, 15, 30)),
        (HOUR_MS, (1, 2, 3, 6, 12)),
        (DAY_MS, (1, 2, 5, 10, 30, 90, 365)),
    )
    for count in counts
)
"""Steps that people read easily. Each is a whole number of windows of some tier."""


def step_for(range_ms: int, points: int) -> int:
    """The least step with which a range has no more points than asked for."""
    return next((step for step in STEPS_MS if range_ms <= step * points), STEPS_MS[-1])


def tiers_for(step_ms: int) -> Iterator[Tier]:
    """Tiers that a step can be made of, the coarsest first: it has the fewest rows to read."""
    return (tier for tier in reversed(TIERS) if step_ms % tier.window_ms == 0)
