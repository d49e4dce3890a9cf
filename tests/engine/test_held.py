"""Rows that are held: each window as one, however its rows come and go."""

from engine.held import Held, HeldSeries
from tests.engine.timelines import T, rows

W = 10_000


def held(*starts_ms: int) -> tuple[Held, HeldSeries]:
    every = Held(W)
    for start_ms in starts_ms:
        every.add(rows(1.0, start_ms), 0)
    (series,) = every.series("m")
    return every, series


def test_a_window_is_what_its_newest_rows_say() -> None:
    every, series = held(T)
    assert [one.sum for _, one in series.each(T, T + W)] == [1.0]

    every.add(rows(7.0, T, ver=2), 0)
    assert [one.sum for _, one in series.each(T, T + W)] == [7.0]


def test_windows_are_in_the_order_of_time_however_their_rows_come() -> None:
    _, series = held(T + W, T, T + 3 * W)
    assert [at_ms for at_ms, _ in series.each(T, T + 4 * W)] == [T, T + W, T + 3 * W]
    assert [at_ms for at_ms, _ in series.each(T + 1, T + 3 * W)] == [T + W]


def test_a_window_that_nobody_looked_at_is_forgotten_like_any_other() -> None:
    every, series = held(T, T + W)
    every.forget(T + W)

    assert [at_ms for at_ms, _ in series.each(T, T + 2 * W)] == [T + W]
    whole = series.over(T, T + 2 * W)
    assert whole is not None
    assert whole.n == 1
