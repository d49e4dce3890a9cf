"""Rows in any order as grids, and back as the rows that rules read."""

from itertools import permutations

import numpy as np

from engine.grids import Span, grid
from engine.held import HeldSeries
from schemas.samples import Kind

SPAN = Span(60_000, 4, 60_000)


def test_of_a_window_that_comes_twice_the_greatest_version_holds_in_any_order() -> None:
    rows = [(0, 60_000, 1, 10.0), (0, 60_000, 3, 30.0), (0, 60_000, 2, 20.0), (1, 180_000, 1, 5.0)]
    for some in permutations(rows):
        row, start_ms, ver, total = (np.array(column) for column in zip(*some, strict=True))
        series = [HeldSeries(Kind.GAUGE, {"source": name}, 60_000) for name in ("a", "b")]
        found = grid(SPAN, series, row, start_ms, ver, {"sum": total, "n": np.ones(len(some), "i8")})
        assert found.columns["sum"].tolist() == [[30.0, 0, 0, 0], [0, 0, 5.0, 0]]
        assert found.present.tolist() == [[True, False, False, False], [False, False, True, False]]


def test_a_series_is_given_back_with_the_windows_that_were_asked_for() -> None:
    row, start_ms = np.array([0, 0, 0]), np.array([60_000, 120_000, 240_000])
    columns = {"n": np.array([1, 2, 3]), "sum": np.array([1.0, 2.0, 3.0])}
    series = [HeldSeries(Kind.GAUGE, {"source": "a"}, 60_000)]
    found = grid(SPAN, series, row, start_ms, np.array([1, 1, 1]), columns)
    one = found.hold(0, -1, 3)
    assert [start for start, _ in one.each(0, 999_999)] == [60_000, 120_000]
    whole = one.over(0, 999_999)
    assert whole is not None
    assert (whole.n, whole.sum, whole.max) == (3, 3.0, 0.0)


def test_no_rows_are_an_empty_grid() -> None:
    nothing = np.array([], "i8")
    found = grid(SPAN, [], nothing, nothing, nothing, {"n": nothing})
    assert found.present.shape == (0, 4)


def test_parts_of_a_window_are_put_together_each_in_its_newest_version() -> None:
    row, start_ms, ver = np.zeros(5, "i8"), np.full(5, 60_000), np.array([1, 2, 1, 1, 1])
    part = np.array([7, 7, 9, 9, 9])
    start_ms[4] = 120_000
    columns = {
        "n": np.array([1, 2, 3, 3, 9]), "sum": np.array([1.0, 2.0, 3.0, 3.0, 9.0]),
        "first": np.array([1.0, 1.0, 5.0, 5.0, 2.0]), "first_ms": np.array([60_000, 60_000, 90_000, 90_000, 120_000]),
        "last": np.array([4.0, 4.0, 6.0, 6.0, 2.0]), "last_ms": np.array([80_000, 80_000, 99_000, 99_000, 120_000]),
        "increase": np.array([3.0, 3.0, 1.0, 1.0, 0.0]),
    }  # fmt: skip
    series = [HeldSeries(Kind.CUMULATIVE, {"source": "a"}, 60_000)]
    found = grid(SPAN, series, row, start_ms, ver, columns, part)
    assert {name: cells[0, :3].tolist() for name, cells in found.columns.items()} == {
        "n": [5, 9, 0],
        "sum": [5.0, 9.0, 0],
        "first": [1.0, 2.0, 0],
        "first_ms": [60_000, 120_000, 0],
        "last": [6.0, 2.0, 0],
        "last_ms": [99_000, 120_000, 0],
        # 3 in the first part, 1 in the second, and 1 between them.
        "increase": [5.0, 0.0, 0],
    }
