"""What a benchmark hands over: figures with their targets, tables, and sentences on how they were measured."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Say = Callable[[str], None]
"""Tells the person at the terminal what is going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number that was measured.

    Attributes:
        target: What it is held against; None where nothing is promised.
        at_least: Whether a greater value is better.
        strict: Whether the target itself is a miss.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    strict: bool = False

    @property
    def bound(self) -> str:
        """The target as it is written, such as `<= 4`; empty where there is none."""
        if self.target is None:
            return ""
        return f"{'>' if self.at_least else '<'}{'' if self.strict else '='} {self.target:g}"

    @property
    def met(self) -> bool | None:
        """Whether the value reaches the target; None where there is none."""
        if self.target is None:
            return None
        if self.value == self.target:
            return not self.strict
        return self.value > self.target if self.at_least else self.value < self.target

    @property
    def line(self) -> str:
        """The figure for a terminal: what is small keeps two digits."""
        judged = {None: "", True: f"  (target {self.bound}: met)", False: f"  (target {self.bound}: missed)"}[self.met]
        value = f"{self.value:.2g}" if 0 < abs(self.value) < 0.01 else f"{self.value:.3f}"
        return f"{self.name}: {value} {self.unit}{judged}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells under headings."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one benchmark gave.

    Attributes:
        how: How it was measured, in sentences.
    """

    title: str
    how: str
    figures: Sequence[Figure]
    tables: Sequence[Table] = field(default_factory=tuple)


def p95(values: Sequence[float]) -> float:
    """The nearest rank: no value is made up between two that were measured."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]
