"""What rules say of samples that are made up: the production fold and evaluator, in virtual time."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from engine.backtest import Backtest
from engine.evaluator import EvaluatorConfig
from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from engine.history import of_file
from schemas.alerts import Transition
from schemas.rollup_wire import Mark, decode_message
from schemas.rule_base import WINDOW_MS
from schemas.rules import Rule
from schemas.samples import MAX_SAMPLES
from schemas.topics import SAMPLES
from schemas.wire import SampleDecoder, Tick, encode

BEGIN_MS = 20_833 * 86_400_000
"""Time zero: some midnight."""

_EPOCH = "trial"
_CONFIG = FoldConfig(topic=SAMPLES.name, epoch=_EPOCH)


class Given(NamedTuple):
    """One sample.

    Attributes:
        at_ms: Since time zero.
        kind: `gauge`, `delta` or `cumulative`.
        late_ms: How long after its time it comes.
        ahead_ms: How far the clock of its source is ahead, which tells both times; negative: behind.
    """

    at_ms: int
    source: str
    metric: str
    kind: str
    dimensions: dict[str, str]
    value: float
    late_ms: int = 0
    ahead_ms: int = 0


def play(rules: Sequence[Rule], given: Iterable[Given], *, until_ms: int) -> Iterator[tuple[int, list[Transition]]]:
    """Every grid point up to a time, in milliseconds since time zero, with what is decided there.

    A sample belongs to the window in which its time lies: it is seen by the first grid point behind it, or behind its
    coming where it is late.
    """
    inputs = frozenset({(SAMPLES.name, 0)})
    backtest = Backtest(EvaluatorConfig(inputs=inputs), of_file(rules, {}), [], start_ms=BEGIN_MS, born=False)
    fold = PartitionFold(_CONFIG, start=Start.FRESH, offset=0)
    decoder, offset = SampleDecoder(), 0
    windows = _windows(given)
    for end_ms in range(WINDOW_MS, until_ms + 1, WINDOW_MS):
        tick = Tick(1, _EPOCH, BEGIN_MS + end_ms + _CONFIG.lateness_ms)
        values = [*windows.get(end_ms - WINDOW_MS, ()), encode(tick)]
        fold.fold(range(offset, offset + len(values)), decoder.decode_batch(values))
        offset += len(values)
        checkpoint = fold.checkpoint(early=False)
        fold.acknowledge(checkpoint)
        backtest.add(one for _, value in checkpoint.messages if not isinstance(one := decode_message(value), Mark))
        yield end_ms, backtest.decide([Mark(SAMPLES.name, _EPOCH, 0, BEGIN_MS + end_ms, offset)])


def _windows(given: Iterable[Given]) -> dict[int, list[bytes]]:
    """By start of the window in which they come, records of samples in the order in which they do."""
    records: defaultdict[tuple[int, int, str, int], list[dict[str, Any]]] = defaultdict(list)
    for one in given:
        sample = {"metric": one.metric, "kind": one.kind, "value": one.value, "dimensions": one.dimensions}
        records[one.at_ms + one.late_ms, one.at_ms, one.source, one.ahead_ms].append(sample)
    windows: defaultdict[int, list[bytes]] = defaultdict(list)
    in_order = sorted(records.items(), key=lambda item: item[0])
    for number, ((comes_ms, after_ms, source, ahead_ms), samples) in enumerate(in_order):
        at_ms, sent_ms = BEGIN_MS + after_ms + ahead_ms, BEGIN_MS + comes_ms + ahead_ms
        for first in range(0, len(samples), MAX_SAMPLES):
            some = samples[first : first + MAX_SAMPLES]
            about = {"v": 1, "source": source, "boot": f"b{first}", "seq": number, "sent_ms": sent_ms, "at_ms": at_ms}
            windows[comes_ms // WINDOW_MS * WINDOW_MS].append(encode({**about, "samples": some}))
    return windows
