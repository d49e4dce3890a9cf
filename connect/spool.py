"""A bounded queue of records on disk, for the time that the broker is away."""

import fcntl
import json
import logging
import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from schemas.errors import BadSettings

_LOG = logging.getLogger(__name__)

_FRAME = struct.Struct(">II")
"""Length and CRC-32 of what follows."""

SEGMENT_BYTES = 4 * 1024 * 1024
_SUFFIX = ".spool"


class Waiting(NamedTuple):
    """One record that waits to be sent. `body` is its JSON without `sent_ms` and without the closing brace."""

    topic: str
    key: str
    body: bytes


@dataclass(slots=True)
class _Segment:
    path: Path
    records: int
    size: int


class Spool:
    """Segment files in one folder; what `append` has returned for survives a crash.

    Args:
        folder: Created when it is not there. One process at a time may hold it.
        max_bytes: When more is written, the oldest segment goes, and its records are counted as dropped.

    Raises:
        BadSettings: When another process holds the folder.
    """

    def __init__(self, folder: Path, *, max_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes)
        self.dropped = 0
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise BadSettings(
                f"The spool folder {folder} is in use by another process; give each process its own."
            ) from None
        self._segments = deque(_found(folder))
        self._next = 1 + max((int(segment.path.stem) for segment in self._segments), default=0)

    def __len__(self) -> int:
        """How many records wait."""
        return sum(segment.records for segment in self._segments)

    @property
    def size_bytes(self) -> int:
        """How much is on disk."""
        return sum(segment.size for segment in self._segments)

    def append(self, records: Sequence[Waiting]) -> None:
        """Writes records behind all others. Returns when they are on disk.

        Raises:
            OSError: When the disk does not take them; none of them counts as written then.
        """
        frames = b"".join(_frame(record) for record in records)
        segment = self._writable(len(frames))
        descriptor = os.open(segment.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.lseek(descriptor, segment.size, os.SEEK_SET)
            _write_all(descriptor, frames)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, segment.size)
            raise
        finally:
            os.close(descriptor)
        segment.records += len(records)
        segment.size += len(frames)
        self._bound()

    def _writable(self, size: int) -> _Segment:
        last = self._segments[-1] if self._segments else None
        if last is None or (last.records and last.size + size > self._segment_bytes):
            last = _Segment(self._folder / f"{self._next:016d}{_SUFFIX}", 0, 0)
            self._next += 1
            self._segments.append(last)
        return last

    def _bound(self) -> None:
        while len(self._segments) > 1 and self.size_bytes > self._max_bytes:
            oldest = self._segments.popleft()
            oldest.path.unlink(missing_ok=True)
            self.dropped += oldest.records
            _LOG.warning("The spool is full: %d of the oldest records were dropped", oldest.records)

    def oldest(self) -> list[Waiting]:
        """The records of the oldest segment, in the order they were written; empty when none wait."""
        while self._segments:
            records = list(_read(self._segments[0].path))
            if records:
                return records
            self.forget_oldest()
        return []

    def keep_of_oldest(self, records: Sequence[Waiting]) -> None:
        """Writes the oldest segment anew, with some of its records: the others have been delivered.

        Raises:
            OSError: When the disk does not take them; the segment stays as it was then.
        """
        segment = self._segments[0]
        frames = b"".join(_frame(record) for record in records)
        new = segment.path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write_all(descriptor, frames)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        new.replace(segment.path)
        segment.records, segment.size = len(records), len(frames)

    def forget_oldest(self) -> None:
        """Removes the oldest segment: its records have been delivered."""
        if self._segments:
            self._segments.popleft().path.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets another process have the folder. Safe twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _frame(record: Waiting) -> bytes:
    head = json.dumps([record.topic, record.key]).encode()
    content = len(head).to_bytes(4, "big") + head + record.body
    return _FRAME.pack(len(content), zlib.crc32(content)) + content


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _found(folder: Path) -> Iterator[_Segment]:
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        records = list(_read(path))
        yield _Segment(path, len(records), sum(len(_frame(record)) for record in records))


def _read(path: Path) -> Iterator[Waiting]:
    """Whole records from the start of a file. A crash may have cut the last one short: reading ends there."""
    data = path.read_bytes()
    position = 0
    while position + _FRAME.size <= len(data):
        length, crc = _FRAME.unpack_from(data, position)
        content = data[position + _FRAME.size : position + _FRAME.size + length]
        if len(content) < length or zlib.crc32(content) != crc:
            return
        position += _FRAME.size + length
        head = int.from_bytes(content[:4], "big")
        topic, key = json.loads(content[4 : 4 + head])
        yield Waiting(topic, key, content[4 + head :])
