"""How far the whole input is complete: the least of its partitions' watermarks, without those that are far behind."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

Input = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True)
class Complete:
    """How far it is complete, and whether partitions had to be left out."""

    at_ms: int
    partial: bool


class Watermarks:
    """Watermarks of the input partitions.

    Args:
        expected: Partitions that must report.
        laggard_ms: One that is further behind the foremost does not hold the others back.
    """

    def __init__(self, expected: Collection[Input], *, laggard_ms: int) -> None:
        self._expected = frozenset(expected)
        self._laggard_ms = laggard_ms
        self._marks: dict[Input, int] = {}
        self._began_ms: int | None = None

    def report(self, topic: str, partition: int, watermark_ms: int) -> None:
        """A partition's watermark. It never goes back."""
        key = (topic, partition)
        if self._began_ms is None:
            self._began_ms = watermark_ms
        self._marks[key] = max(watermark_ms, self._marks.get(key, 0))

    @property
    def marks(self) -> Mapping[Input, int]:
        """What was reported last."""
        return self._marks

    def complete(self) -> Complete | None:
        """None before the first report, and while a partition that never reported may still be on its way."""
        if self._began_ms is None:
            return None
        foremost = max(self._marks.values())
        floor = foremost - self._laggard_ms
        silent = self._expected - self._marks.keys()
        if silent and self._began_ms >= floor:
            return None
        near = [mark for mark in self._marks.values() if mark >= floor]
        return Complete(min(near), partial=bool(silent) or len(near) < len(self._marks))
