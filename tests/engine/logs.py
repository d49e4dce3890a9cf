"""Making logs for the fold, and reading what it published."""

from collections.abc import Iterable, Iterator, Sequence

from engine.checkpoints import Checkpoint
from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from schemas.rollup_wire import Row, Rows, decode_rollups
from schemas.samples import Kind
from schemas.series import Decoded, Point, series_of
from schemas.wire import Input, Tick

EPOCH = "e1"
CONFIG = FoldConfig(topic="metrics.samples", partition=0, epoch=EPOCH)
Identity = tuple[str, int, int]
"""Series, start of the window, segment."""


def tick(at_ms: int) -> Tick:
    """A tick of the right epoch."""
    return Tick(1, EPOCH, at_ms)


def record(
    seq: int, at_ms: int, value: float = 1.0, *, sent_ms: int | None = None, metric: str = "m", kind: Kind = Kind.GAUGE
) -> Decoded:
    """One record of source `s` with one point."""
    series = series_of(metric, "s", {}, kind)
    return Decoded("s", "b", seq, at_ms if sent_ms is None else sent_ms, at_ms, [Point(series, value)])


def fresh(config: FoldConfig = CONFIG) -> PartitionFold:
    """A fold at the beginning of a log."""
    return PartitionFold(config, start=Start.FRESH, offset=0)


def parts(log: Sequence[Input], size: int) -> Iterator[Sequence[Input]]:
    """A log in pieces of so many records."""
    return (log[first : first + size] for first in range(0, len(log), size))


def folded(log: Sequence[Input], *, config: FoldConfig = CONFIG) -> dict[Identity, Row]:
    """What the whole log becomes in one go."""
    fold = fresh(config)
    fold.fold(range(len(log)), log)
    return newest(rows_of(fold.checkpoint(early=True)))


def rows_of(*checkpoints: Checkpoint) -> list[tuple[Identity, Row]]:
    """Published rows with their identities, in order."""
    rows: list[tuple[Identity, Row]] = []
    for checkpoint in checkpoints:
        for _, value in checkpoint.messages:
            decoded = decode_rollups(value)
            assert isinstance(decoded, Rows)
            rows += [((row.series, row.start_ms, decoded.segment), row) for row in decoded.rows]
    return rows


def newest(rows: Iterable[tuple[Identity, Row]]) -> dict[Identity, Row]:
    """Of each identity the row with the greatest `ver`; rows with an equal one must be equal."""
    best: dict[Identity, Row] = {}
    for identity, row in rows:
        known = best.get(identity)
        assert known is None or known.ver != row.ver or known == row, f"equal ver, other content: {known} {row}"
        if known is None or known.ver < row.ver:
            best[identity] = row
    return best
