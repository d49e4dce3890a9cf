"""Dead letters as they are sent again: which there are, what is kept of them, and what became of earlier attempts."""

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connect.clickhouse import Store
from engine.redrive import Attempt, Attempts, Letter, Place

PAGE = 100
"""Letters that are read at a time: each may hold a quarter of a megabyte."""

_CHOSEN = """
FROM watchkeeper_store.deadletters FINAL
WHERE ({topic:String} = '' OR topic = {topic:String})
    AND ({reason:String} = '' OR has(reasons, {reason:String}))
    AND refused_at >= fromUnixTimestamp64Milli({from_ms:Int64}) AND refused_at < fromUnixTimestamp64Milli({to_ms:Int64})
    AND (empty({ids:Array(String)})
        OR has({ids:Array(String)}, concat(topic, '-', toString(partition), '-', toString(offset))))
"""
_PAGE = f"""
{_CHOSEN}
    AND (topic, epoch, partition, offset)
        > ({{last_topic:String}}, {{last_epoch:String}}, {{last_partition:UInt32}}, {{last_offset:Int64}})
ORDER BY topic, epoch, partition, offset LIMIT {{page:UInt32}}
"""
_COUNT = f"SELECT count() {_CHOSEN}"
_LETTERS = f"""
SELECT topic, epoch, partition, offset, refused_by, arrayAll(sample -> sample < 0, samples), key_base64, value_base64,
    value_bytes
{_PAGE}
"""
_CLOCKS = f"""
SELECT topic, epoch, partition, offset, toUnixTimestamp64Milli(at) FROM watchkeeper_store.arrivals FINAL
WHERE timed AND (topic, epoch, partition, offset) IN (SELECT topic, epoch, partition, offset {_PAGE})
"""  # noqa: S608  (put together from constants)
_ATTEMPTS = """
SELECT topic, epoch, partition, offset, state, to_epoch, to_partition, from_offset, value_sha256
FROM watchkeeper_store.redrives FINAL
WHERE (topic, epoch, partition, offset)
        >= ({first_topic:String}, {first_epoch:String}, {first_partition:UInt32}, {first_offset:Int64})
    AND (topic, epoch, partition, offset)
        <= ({last_topic:String}, {last_epoch:String}, {last_partition:UInt32}, {last_offset:Int64})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which letters.

    Attributes:
        topic: Of the refused records; empty: any.
        reason: One that they were refused for; empty: any.
        from_ms: Refused then or later.
        to_ms: Refused before.
        ids: `topic-partition-offset` of the refused records; empty: any.
    """

    topic: str = ""
    reason: str = ""
    from_ms: int = 0
    to_ms: int
    ids: Sequence[str] = ()

    def parameters(self) -> dict[str, Any]:
        """As the statements bind them."""
        ends = {"from_ms": self.from_ms, "to_ms": self.to_ms}
        return {"topic": self.topic, "reason": self.reason, "ids": list(self.ids), **ends}


def count(store: Store, selection: Selection) -> int:
    """How many letters there are.

    Raises:
        StoreUnavailable: ClickHouse is away.
    """
    ((found,),) = store.rows(_COUNT, selection.parameters())
    return int(found)


def pages(store: Store, selection: Selection) -> Iterator[list[Letter]]:
    """The letters, some at a time, those of one partition in the order of their records. Raises as `count`."""
    last: Place = ("", "", 0, -1)
    while True:
        bound = {**selection.parameters(), **_bound("last", last), "page": PAGE}
        rows = store.rows(_LETTERS, bound)
        if not rows:
            return
        clocks = {tuple(place): at_ms for *place, at_ms in store.rows(_CLOCKS, bound)}
        page = [_letter(row, clocks) for row in rows]
        yield page
        last = page[-1].place


def _bound(name: str, place: Place) -> dict[str, Any]:
    parts = ("topic", "epoch", "partition", "offset")
    return {f"{name}_{part}": value for part, value in zip(parts, place, strict=True)}


def _letter(row: Sequence[Any], clocks: Mapping[tuple[Any, ...], int]) -> Letter:
    topic, epoch, partition, offset, refused_by, whole, key, value, value_bytes = row
    place = (topic, epoch, partition, offset)
    return Letter(place, refused_by, bool(whole), _kept(key), _kept(value), value_bytes, clocks.get(place))


def _kept(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)


def attempts(store: Store, page: Sequence[Letter]) -> Attempts:
    """What is known of earlier attempts to send the letters of a page again. Raises as `count`."""
    known = Attempts()
    bound = {**_bound("first", page[0].place), **_bound("last", page[-1].place)}
    for topic, epoch, partition, offset, state, *about in store.rows(_ATTEMPTS, bound):
        place = (topic, epoch, partition, offset)
        if state == "sent":
            known.sent(place)
        else:
            known.begun(place, Attempt(*about))
    return known
