"""A repeat is known within the horizon, and nothing else is, whatever order the records come in."""

from collections import deque

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.occurrences import Occurrences, record_hashes

HORIZON = 2
RECORD = st.tuples(st.integers(0, 3), st.integers(0, 12))
STEP = st.one_of(st.lists(RECORD, min_size=1, max_size=8), st.just("cut"), st.just("settle"))


class Remembered:
    """The same with plain sets: what must come out."""

    def __init__(self) -> None:
        self._segments: deque[set[tuple[int, int]]] = deque([set()], maxlen=HORIZON + 1)

    def admit(self, records: list[tuple[int, int]]) -> list[int]:
        fresh = []
        for position, record in enumerate(records):
            if not any(record in segment for segment in self._segments):
                fresh.append(position)
            self._segments[-1].add(record)
        return fresh

    def cut(self) -> None:
        self._segments.append(set())


def admitted(occurrences: Occurrences, records: list[tuple[int, int]]) -> list[int]:
    boots, seqs = np.array(records, np.int64).T.copy()
    bases = (boots * 1_000_003).view(np.uint64)
    return list(occurrences.admit(boots, seqs, record_hashes(bases, seqs.view(np.uint64))))


@given(st.lists(STEP, max_size=30))
def test_what_is_new_is_what_sets_of_all_ids_say(steps: list[list[tuple[int, int]] | str]) -> None:
    occurrences, plain = Occurrences(HORIZON), Remembered()
    for step in steps:
        if step == "cut":
            occurrences.cut()
            plain.cut()
        elif step == "settle":
            occurrences.settle()
        else:
            assert isinstance(step, list)
            assert admitted(occurrences, step) == plain.admit(step)


def test_rising_numbers_are_new_and_a_repeat_of_any_of_them_is_not() -> None:
    occurrences = Occurrences(HORIZON)
    for first in range(0, 1_000, 100):
        assert admitted(occurrences, [(0, seq) for seq in range(first, first + 100)]) == list(range(100))
    assert admitted(occurrences, [(0, 999), (0, 1_000), (0, 5), (1, 5), (0, 1_000)]) == [1, 3]
    occurrences.cut()
    assert admitted(occurrences, [(0, 999)]) == []
    occurrences.cut()
    occurrences.cut()
    assert admitted(occurrences, [(0, 998), (0, 999)]) == [0]
