"""Numbers that are missing: records that a producer has numbered, and that stand in no log."""

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from engine.recount import MINUTE_MS


class Gap(NamedTuple):
    """Numbers that no record bears, of one boot of one source.

    Attributes:
        place: Topic and partition of the record before them.
        minute_ms: Minute of that record.
    """

    source: str
    boot: str
    first: int
    last: int
    place: tuple[str, int]
    minute_ms: int

    @property
    def missing(self) -> int:
        """How many there are."""
        return self.last - self.first + 1

    def without(self, known: Collection[int]) -> Iterator["Gap"]:
        """The parts of it whose numbers are none of these."""
        first = self.first
        for seq in (*sorted(seq for seq in known if self.first <= seq <= self.last), self.last + 1):
            if first < seq:
                yield self._replace(first=first, last=seq - 1)
            first = seq + 1


class _Numbers:
    """Of one boot of one source, in the order in which they were read."""

    __slots__ = ("clocks_ms", "minutes_ms", "places", "seqs")

    def __init__(self) -> None:
        self.seqs, self.clocks_ms, self.minutes_ms, self.places = (array("q") for _ in range(4))


class Sequences:
    """Numbers of the records that stand in the logs of all input topics: a producer counts through all of them."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, _Numbers]] = defaultdict(lambda: defaultdict(_Numbers))
        """By boot and source."""
        self._places: list[tuple[str, int]] = []
        self._unread: dict[str | None, int] = defaultdict(int)

    def add(self, named: tuple[str, str, int], place: tuple[str, int], *, clock_ms: int, at_ms: int) -> None:
        """A record stands there.

        Args:
            named: Source, boot and number.
            place: Topic and partition; those of one partition come together.
            clock_ms: What the log's clock showed with it.
            at_ms: When it was.
        """
        if not self._places or self._places[-1] != place:
            self._places.append(place)
        source, boot, seq = named
        numbers = self._numbers[boot][source]
        numbers.seqs.append(seq)
        numbers.clocks_ms.append(clock_ms)
        numbers.minutes_ms.append(at_ms // MINUTE_MS * MINUTE_MS)
        numbers.places.append(len(self._places) - 1)

    def unread(self, source: str | None) -> None:
        """A record of a source, or of one that nobody knows, cannot be read: it may bear any number."""
        self._unread[source] += 1

    def gaps(self, from_ms: int, to_ms: int) -> Iterator[Gap]:
        """What is missing between records that came in a span of the logs' clocks, which all of the logs cover.

        A number that a record of another source bears is not missing: one process may speak for several, and counts
        through all of them. Nor is one that a record may bear which cannot be read.
        """
        unread = dict(self._unread)
        for boot, sources in self._numbers.items():
            for gap in self._of_boot(boot, sources, from_ms, to_ms).values():
                excuses = [one for one in (gap.source, None) if unread.get(one, 0) >= gap.missing]
                if excuses:
                    unread[excuses[0]] -= gap.missing
                else:
                    yield gap

    def _of_boot(self, boot: str, sources: Mapping[str, _Numbers], from_ms: int, to_ms: int) -> dict[int, Gap]:
        """What no source bears, by the first number; told of the one whose record stands before it, if it goes on."""
        found: dict[int, Gap] = {}
        for source, numbers in sources.items():
            others = [other.seqs for name, other in sources.items() if name != source]
            for gap in self._between(source, boot, numbers, from_ms, to_ms):
                borne = {seq for seqs in others for seq in seqs if gap.first <= seq <= gap.last}
                for part in gap.without(borne):
                    if part.first == gap.first:
                        found[part.first] = part
                    else:
                        found.setdefault(part.first, part)
        return found

    def _between(self, source: str, boot: str, numbers: _Numbers, from_ms: int, to_ms: int) -> Iterator[Gap]:
        order = sorted(range(len(numbers.seqs)), key=numbers.seqs.__getitem__)
        for before, after in pairwise(order):
            first, last = numbers.seqs[before] + 1, numbers.seqs[after] - 1
            covered = all(from_ms <= numbers.clocks_ms[at] < to_ms for at in (before, after))
            if first <= last and covered:
                place = self._places[numbers.places[before]]
                yield Gap(source, boot, first, last, place, numbers.minutes_ms[before])
