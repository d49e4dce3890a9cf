"""The log of `metrics.samples` as the oracle understands it, followed while it grows."""

from collections.abc import Iterable, Mapping
from itertools import groupby

from connect.config import KafkaConfig
from connect.reader import TopicReader
from tests.chaos.oracle import Key, LogRules, PlainFold, Seen, Total

TOPIC = "metrics.samples"


class Log:
    """Every record of the topic, folded plainly. A record is read once, however long the log has become."""

    def __init__(self, config: KafkaConfig, rules: LogRules) -> None:
        self.rules = rules
        self._config = config
        self._folds: dict[int, PlainFold] = {}
        self._positions: Mapping[int, int] = {}

    async def follow(self) -> None:
        """Reads to where the log ends now. When that fails it goes on behind what was taken."""
        async with TopicReader(self._config, TOPIC, offsets=self._positions) as reader:
            while not reader.caught_up():
                for partition, records in await reader.read(timeout_s=0.2):
                    fold = self._folds.setdefault(partition, PlainFold(self.rules))
                    for record in records:
                        fold.take(record.offset, record.value)
                self._positions = reader.positions

    def totals(self) -> dict[Key, Total]:
        """Of every series and window. A source's records stand in one partition, and so do its series."""
        together: dict[Key, Total] = {}
        for fold in self._folds.values():
            together |= fold.totals
        return together

    def sources(self) -> dict[int, str]:
        """Of every series."""
        return {series: source for fold in self._folds.values() for series, source in fold.sources.items()}

    def raw(self) -> dict[str, int]:
        """By source, how many samples are stored one by one."""
        return {source: count for fold in self._folds.values() for source, count in fold.raw.items()}

    def refused(self) -> dict[tuple[int, int], list[str]]:
        """By partition and offset, the reasons."""
        return {
            (partition, offset): [reason.value for reason in reasons]
            for partition, fold in self._folds.items()
            for offset, reasons in fold.refused.items()
        }

    def seen(self) -> Seen:
        """Of all partitions together."""
        found = [fold.seen for fold in self._folds.values()]
        return Seen(
            duplicates=sum(one.duplicates for one in found),
            late=sum(one.late for one in found),
            skewed=sum(one.skewed for one in found),
        )

    def unsent(self, acknowledged: Iterable[tuple[str, int]]) -> int:
        """How many of these (source, seq) do not stand in the log."""
        there = {(source, seq) for fold in self._folds.values() for source, _, seq in fold.ids}
        return sum(one not in there for one in acknowledged)

    def gaps(self, source: str) -> int:
        """Records of a source that are missing between others of the same boot."""
        ids = sorted({(boot, seq) for fold in self._folds.values() for who, boot, seq in fold.ids if who == source})
        boots = [[seq for _, seq in same] for _, same in groupby(ids, key=lambda one: one[0])]
        return sum(seqs[-1] - seqs[0] + 1 - len(seqs) for seqs in boots)
