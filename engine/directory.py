"""Names of series as small numbers, so that their rows are sorted into messages by columns."""

from collections.abc import Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from schemas.dimensions import Canonical
from schemas.series import Series
from schemas.structs import KindName
from schemas.wire import encode

MAX_SERIES = 200_000
"""Series that are remembered. One checkpoint may go beyond."""

_ABOUT = np.dtype(
    [("series", np.uint64), *((name, np.int64) for name in ("group", "source", "dimensions", "names_bytes"))]
)

_Key = TypeVar("_Key", bound=Hashable)
_Item = TypeVar("_Item")


class Group(NamedTuple):
    """What all rows of a message share."""

    metric: str
    kind: KindName


class _Numbered(Generic[_Key, _Item]):
    """Different items by number, with the bytes that each has in JSON."""

    def __init__(self) -> None:
        self.items: list[_Item] = []
        self.sizes_bytes: list[int] = []
        self._numbers: dict[_Key, int] = {}

    def number(self, key: _Key, item: _Item) -> int:
        """The number of an item, which it is given when it is new."""
        number = self._numbers.setdefault(key, len(self.items))
        if number == len(self.items):
            self.items.append(item)
            self.sizes_bytes.append(len(encode(item)))
        return number


class Directory:
    """Groups, sources and dimensions by number. Bounded: when there are too many series, all are forgotten."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._groups: _Numbered[Group, Group] = _Numbered()
        self._sources: _Numbered[str, str] = _Numbered()
        self._dimensions: _Numbered[Canonical, dict[str, str]] = _Numbered()
        self._places: dict[Series, int] = {}
        self._learnt: list[tuple[int, ...]] = []
        self._table = np.zeros(0, _ABOUT)

    @property
    def groups(self) -> Sequence[Group]:
        """By number."""
        return self._groups.items

    @property
    def sources(self) -> Sequence[str]:
        """By number."""
        return self._sources.items

    @property
    def dimensions(self) -> Sequence[dict[str, str]]:
        """By number."""
        return self._dimensions.items

    def about(self, series: Sequence[Series]) -> NDArray[np.void]:
        """Of each series its fingerprint; the numbers of its group, its source and its dimensions, which hold until the
        next call; and how many bytes its names have in JSON.
        """
        if len(self._places) > MAX_SERIES:
            self._forget()
        known = self._places
        try:
            places = [known[one] for one in series]
        except KeyError:
            places = [known[one] if one in known else self._learn(one) for one in series]
            self._table, self._learnt = np.concatenate([self._table, np.array(self._learnt, _ABOUT)]), []
        return self._table[places]

    def _learn(self, series: Series) -> int:
        group = Group(series.metric, series.kind.value)
        source = self._sources.number(series.source, series.source)
        dimensions = self._dimensions.number(series.dimensions, series.labels)
        names_bytes = self._sources.sizes_bytes[source] + self._dimensions.sizes_bytes[dimensions]
        self._learnt.append((series.fingerprint, self._groups.number(group, group), source, dimensions, names_bytes))
        place = self._places[series] = len(self._places)
        return place
