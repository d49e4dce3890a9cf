"""When the watchdog bites, and when it does not. Its clock is a list of numbers, its readers a dictionary."""

from collections.abc import Callable

import pytest

from agents.watchdog import Standing, Watchdog


class Scene:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.flowing = True
        self.standings: dict[str, Standing] = {}
        self.dog = Watchdog(
            patience_s=60,
            flowing=lambda: self.flowing,
            standings=lambda: self.standings,
            die=lambda why: None,
            clock=lambda: self.now_s,
        )

    def look_for(self, seconds: int, each: Callable[[int], None] = lambda _: None) -> str | None:
        for second in range(seconds):
            each(second)
            self.now_s += 1
            stuck = self.dog.look()
            if stuck is not None:
                return stuck
        return None


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_reader_that_stands_still_with_records_before_it_is_stuck(scene: Scene) -> None:
    scene.standings = {"metrics.samples/0": Standing(lag=7, position=12)}
    stuck = scene.look_for(100)
    assert stuck == "metrics.samples/0 stands at 12 for 61 s while 7 records wait"


def test_a_reader_that_stands_still_at_the_end_is_idle(scene: Scene) -> None:
    scene.standings = {"metrics.samples/0": Standing(lag=0, position=12)}
    assert scene.look_for(300) is None


def test_a_reader_that_moves_slowly_is_not_stuck(scene: Scene) -> None:
    def crawl(second: int) -> None:
        scene.standings = {"logs/1": Standing(lag=1000, position=second // 50)}

    assert scene.look_for(300, crawl) is None


def test_the_time_at_the_end_does_not_count_as_standing_still(scene: Scene) -> None:
    scene.standings = {"logs/1": Standing(lag=0, position=5)}
    assert scene.look_for(59) is None
    scene.standings = {"logs/1": Standing(lag=3, position=5)}
    assert scene.look_for(59) is None


def test_a_stopped_flow_is_stuck_though_no_reader_has_any_lag(scene: Scene) -> None:
    scene.flowing = False
    stuck = scene.look_for(100)
    assert stuck is not None
    assert "no partitions were assigned" in stuck


def test_a_rebalance_in_time_is_forgiven(scene: Scene) -> None:
    def storm(second: int) -> None:
        scene.flowing = second % 50 == 0

    assert scene.look_for(300, storm) is None


def test_one_stuck_partition_among_others_that_move_is_found(scene: Scene) -> None:
    def mixed(second: int) -> None:
        scene.standings = {"a/0": Standing(5, second), "a/1": Standing(5, 3)}

    stuck = scene.look_for(100, mixed)
    assert stuck is not None
    assert stuck.startswith("a/1 ")
