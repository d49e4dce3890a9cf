"""Whether a refused record may be sent to its topic again, and the bytes that are sent then."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeVar

import msgspec

from schemas.deadletters import MAX_KEPT_BYTES, MAX_KEY_BYTES
from schemas.reference import implausible
from schemas.structs import REFUSED
from schemas.topics import BY_NAME, INPUTS
from schemas.wire import TICK_PREFIX

FOLDED_BY = "process"
"""Who refuses records of input topics before they count. What others refuse of them counts already."""

_INPUTS = frozenset(topic.name for topic in INPUTS)
_STAMP = "sent_ms"
T = TypeVar("T")

Place = tuple[str, str, int, int]
"""Topic, epoch, partition and offset."""


class Letter(NamedTuple):
    """What is kept of a refused record.

    Attributes:
        place: Where it stood.
        whole: Whether it was refused as a whole; otherwise some of its samples were, and the others count.
        value_bytes: How long the value was; what is kept may be less.
        clock_ms: What the log's clock showed when it came; None: not known.
    """

    place: Place
    refused_by: str
    whole: bool
    key: bytes | None
    value: bytes | None
    value_bytes: int
    clock_ms: int | None


class _Own(msgspec.Struct):
    """The time of a sample, where it has its own."""

    at_ms: int | None = None


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def refusal(letter: Letter) -> str | None:
    """Why a record must not be sent again, in words that go on from "it"; None where it may be."""
    topic = letter.place[0]
    if topic not in BY_NAME:
        return "is of a topic that nothing reads"
    if BY_NAME[topic].compacted:
        return "would take the place of a newer record"
    return (_counted(letter) if topic in _INPUTS else None) or _cut(letter)


def _counted(letter: Letter) -> str | None:
    """What must hold of a record that counts, so that it counts once, and in its own time."""
    if letter.refused_by != FOLDED_BY:
        return "counts in the rollups already: only its raw row was refused"
    if not letter.whole:
        return "would count twice: only some of its samples were refused, and the others count already"
    if letter.value is not None and letter.value.startswith(TICK_PREFIX):
        return "is a tick, which tells the time of its own moment"
    return _timely(letter.value)


def _cut(letter: Letter) -> str | None:
    if letter.value is not None and len(letter.value) < letter.value_bytes:
        return f"is cut: {MAX_KEPT_BYTES} of its {letter.value_bytes} bytes were kept"
    if letter.key is not None and len(letter.key) >= MAX_KEY_BYTES:
        return f"may be cut: at most {MAX_KEY_BYTES} bytes of its key were kept"
    return None


def _timely(value: bytes | None) -> str | None:
    """A time that was refused against `sent_ms` would be taken against a later one: that must not be by the way."""
    fields = _fields(value)
    sent_ms = _read(fields, _STAMP, int)
    if sent_ms is None:
        return None
    own = [_Own(_read(fields, "at_ms", int)), *(_read(fields, "samples", list[_Own]) or [])]
    for at_ms in (one.at_ms for one in own if one.at_ms is not None):
        refused = implausible(at_ms, sent_ms)
        if refused is not None:
            return f"has a time that cannot be: {refused.detail}"
    return None


def _fields(value: bytes | None) -> dict[str, msgspec.Raw]:
    """The fields of a record, each as it was written; none of what is no JSON object."""
    try:
        return _FIELDS.decode(value or b"")
    except REFUSED:
        return {}


def _read(fields: Mapping[str, msgspec.Raw], name: str, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(fields[name], type=kind)
    except (KeyError, *REFUSED):
        return None


def sent_again(letter: Letter, *, now_ms: int, skew_bound_ms: int) -> bytes | None:
    """The value that is sent: as it came, but for `sent_ms`, which every attempt to send stamps anew.

    Otherwise the fold would take the hours since for an error of the sender's clock, and move the record's times by
    them. An error that this clock had is kept: it is in the new stamp, and is corrected as it would have been.

    Args:
        letter: One without a `refusal`.
        now_ms: Of the wall clock.
        skew_bound_ms: The error of a clock that the fold does not correct.
    """
    fields = _fields(letter.value) if letter.place[0] in _INPUTS else {}
    sent_ms = _read(fields, _STAMP, int)
    if sent_ms is None:
        return letter.value
    skew_ms = 0 if letter.clock_ms is None else letter.clock_ms - sent_ms
    stamp_ms = now_ms - (skew_ms if abs(skew_ms) > skew_bound_ms else 0)
    return msgspec.json.encode(fields | {_STAMP: msgspec.Raw(str(max(stamp_ms, 0)).encode())})


class Attempt(NamedTuple):
    """One earlier attempt to send a record again, as it was written down before it.

    Attributes:
        to_epoch: Incarnation of the topic that it was sent to.
        from_offset: If it stands there, then here or later.
    """

    to_epoch: str
    to_partition: int
    from_offset: int
    value_sha256: str


class Attempts:
    """What is known of earlier attempts, by the place of the letter."""

    def __init__(self) -> None:
        self._begun: dict[Place, list[Attempt]] = {}
        self._sent: set[Place] = set()

    def begun(self, place: Place, attempt: Attempt) -> None:
        """An attempt was about to be made."""
        self._begun.setdefault(place, []).append(attempt)

    def sent(self, place: Place) -> None:
        """One was acknowledged."""
        self._sent.add(place)

    def is_sent(self, place: Place) -> bool:
        """Whether there is nothing left to do."""
        return place in self._sent

    def of(self, place: Place) -> list[Attempt]:
        """Those that were begun."""
        return self._begun.get(place, [])

    def update(self, other: "Attempts") -> None:
        """Takes in what another one knows."""
        self._sent |= other._sent
        for place, attempts in other._begun.items():
            self._begun.setdefault(place, []).extend(attempts)


class Fate(StrEnum):
    """What becomes of a letter."""

    SEND = "is sent"
    LOOK = "is sent, unless it stands in its topic already"
    SENT = "was sent before"
    REFUSED = "is not sent"


class Verdict(NamedTuple):
    """What becomes of a letter, and of one that is not sent, why."""

    fate: Fate
    why: str = ""


def verdict(letter: Letter, known: Attempts, *, epoch: str, beginnings: Mapping[int, int]) -> Verdict:
    """What becomes of a letter.

    Args:
        known: Earlier attempts.
        epoch: Incarnation of its topic now.
        beginnings: Of each partition of the topic, the first offset that it still has.
    """
    if known.is_sent(letter.place):
        return Verdict(Fate.SENT)
    why = refusal(letter)
    if why is not None:
        return Verdict(Fate.REFUSED, f"it {why}")
    attempts = known.of(letter.place)
    if any(one.to_epoch != epoch or beginnings.get(one.to_partition, 0) > one.from_offset for one in attempts):
        # What would tell is gone. Not sent it can still be seen, counted twice it could not be taken back.
        return Verdict(Fate.REFUSED, "an attempt was cut off, and the log does not go back to it: it may have arrived")
    return Verdict(Fate.LOOK if attempts else Fate.SEND)


def arrived(topic: str, attempts: Collection[Attempt], found: Mapping[tuple[str, int, str], int]) -> bool:
    """Whether one of these attempts stands in the log.

    Args:
        found: Topic, partition and SHA-256 of values to the last offset at which they stand.
    """
    return any(found.get((topic, one.to_partition, one.value_sha256), -1) >= one.from_offset for one in attempts)
