"""Merging rows, and quantiles from their sketches."""

import math
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.combine import Combined, combine, merge, merge_all
from engine.sketch import bucket_of, quantile, value_of


@st.composite
def pieces(draw: st.DrawFn) -> list[Combined]:
    """Rows of one series that follow each other in time, with whole numbers, so that sums are exact."""
    made, at_ms = [], 0
    for values in draw(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=4), min_size=3, max_size=3)):
        numbers = [float(value) for value in values]
        buckets = {bucket_of(number): numbers.count(number) for number in numbers if number}
        grown = sum(b - a if b >= a else b for a, b in pairwise(numbers))
        made.append(
            Combined(
                n=len(numbers),
                sum=sum(numbers),
                min=min(numbers),
                max=max(numbers),
                first=numbers[0],
                first_ms=at_ms,
                last=numbers[-1],
                last_ms=at_ms + len(numbers) - 1,
                increase=grown,
                zero=numbers.count(0.0),
                positive=buckets,
            )
        )
        at_ms += len(numbers)
    return made


@given(pieces())
def test_merging_is_associative_and_commutative(three: list[Combined]) -> None:
    a, b, c = three
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, b) == merge(b, a)


parts = st.builds(
    lambda number, values, at_ms, took_ms, buckets: Combined(
        n=number,
        sum=sum(values),
        min=min(values),
        max=max(values),
        first=values[0],
        first_ms=at_ms,
        last=values[-1],
        last_ms=at_ms + took_ms,
        increase=abs(values[-1]),
        zero=number,
        positive=buckets,
        negative={-bucket: count for bucket, count in buckets.items()},
    ),
    st.integers(0, 9),
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=3),
    st.integers(0, 40),
    st.integers(0, 20),
    st.dictionaries(st.integers(-3, 3), st.integers(1, 9), max_size=3),
)


@given(st.lists(parts, min_size=1, max_size=6), st.booleans())
def test_several_are_to_the_last_bit_what_merging_one_after_the_other_gives(some: list[Combined], tidy: bool) -> None:
    if tidy:
        some = [replace(one, first_ms=at_ms * 60, last_ms=at_ms * 60 + 60) for at_ms, one in enumerate(some)]
    kept = deepcopy(some)
    assert merge_all(some) == reduce(merge, some)
    assert some == kept


def test_a_counters_growth_between_rows_is_added_and_a_restart_counts_from_zero() -> None:
    def piece(first: float, last: float, at_ms: int) -> Combined:
        return Combined(
            n=2, sum=0, min=0, max=0, first=first, first_ms=at_ms, last=last, last_ms=at_ms + 1, increase=last - first
        )

    assert merge(piece(10, 20, 0), piece(25, 30, 10)).increase == 20
    assert merge(piece(10, 20, 0), piece(5, 8, 10)).increase == 18


def test_rows_that_overlap_in_time_grow_from_the_earliest_to_the_latest_value() -> None:
    outer = Combined(n=2, sum=0, min=0, max=0, first=1, first_ms=0, last=9, last_ms=10, increase=8)
    inner = Combined(n=2, sum=0, min=0, max=0, first=3, first_ms=2, last=5, last_ms=4, increase=2)
    assert merge(outer, inner).increase == 8
    assert merge(outer, inner).last == 9


def test_a_late_row_adds_what_a_counter_grew_beyond_the_rows_before_though_it_restarted_there() -> None:
    """Minute of values 90, 5 | 7 .. 12, and late ones: of the second window 8 .. 15, then 11 within it."""
    minute = Combined(n=4, sum=0, min=0, max=0, first=90, first_ms=0, last=12, last_ms=40, increase=12)
    beyond = Combined(n=2, sum=0, min=0, max=0, first=8, first_ms=30, last=15, last_ms=45, increase=7)
    within = Combined(n=1, sum=0, min=0, max=0, first=11, first_ms=39, last=11, last_ms=39, increase=0)
    restarted = Combined(n=1, sum=0, min=0, max=0, first=2, first_ms=35, last=2, last_ms=50, increase=0)

    assert merge(minute, beyond).increase == 15
    assert merge(minute, within).increase == 12
    assert merge(minute, restarted).increase == 14


def test_nothing_combines_to_nothing() -> None:
    assert combine([]) is None
    assert merge_all([]) is None


@pytest.mark.parametrize("q", [0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0])
@pytest.mark.parametrize("shape", ["uniform", "exponential", "normal", "pareto"])
def test_quantiles_are_within_one_percent(shape: str, q: float) -> None:
    numbers = random.Random(7)
    draw: dict[str, Callable[[], float]] = {
        "uniform": lambda: numbers.uniform(-10, 10),
        "exponential": lambda: numbers.expovariate(0.01),
        "normal": lambda: numbers.gauss(0, 100),
        "pareto": lambda: numbers.paretovariate(1.1),
    }
    values = sorted([draw[shape]() for _ in range(5_000)] + [0.0] * 10)
    positive: dict[int, int] = {}
    negative: dict[int, int] = {}
    for value in values:
        if value:
            side = positive if value > 0 else negative
            side[bucket_of(abs(value))] = side.get(bucket_of(abs(value)), 0) + 1
    exact = values[math.floor(q * (len(values) - 1))]
    assert quantile(q, 10, positive, negative) == pytest.approx(exact, rel=0.0101)


def test_an_empty_sketch_has_no_quantile() -> None:
    assert quantile(0.5, 0, {}, {}) is None


@given(st.floats(1e-9, 1e12))
def test_a_buckets_value_is_within_one_percent_of_what_it_holds(value: float) -> None:
    assert value_of(bucket_of(value)) == pytest.approx(value, rel=0.010001)


def test_beyond_the_last_rank_the_greatest_value_stands() -> None:
    assert quantile(2.0, 0, {1: 1, 3: 1}, {}) == value_of(3)
