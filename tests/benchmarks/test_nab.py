"""The benchmark on labelled series: a tiny folder of them, in which it is known what is true."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from benchmarks import nab
from benchmarks.figures import Section
from benchmarks.labelled import Counted, Labelled, by_chance, counted, labelled
from benchmarks.made_up import KINDS, made_up
from benchmarks.naive import DAY, NAIVE
from benchmarks.options import Options
from schemas.alerts import BUCKET_MS

START = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 9 * DAY
HOUR_MS = 3_600_000


def text(bucket: int) -> str:
    return (START + timedelta(minutes=5 * bucket)).strftime("%Y-%m-%d %H:%M:%S")


def write(folder: Path) -> None:
    """Two series of a category, two of another: one spike each, which is labelled in every second one."""
    (folder / "labels").mkdir()
    windows = {}
    for number in range(4):
        name = f"some{number // 2}/series-{number}.csv"
        spike = 6 * DAY + number * 20
        values = 50 + 20 * np.sin(2 * np.pi * np.arange(SIZE) / DAY) + np.random.default_rng(number).normal(0, 1, SIZE)
        values[spike : spike + 6] += 200
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("timestamp", "value"))
            rows.writerows((text(bucket), value) for bucket, value in enumerate(values.tolist()))
        labels = [[text(spike - 6) + ".000000", text(spike + 12) + ".000000"]]
        windows[name] = labels if number % 2 == 0 else []
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(windows))


@pytest.fixture(scope="module")
def section(tmp_path_factory: pytest.TempPathFactory) -> Section:
    folder = tmp_path_factory.mktemp("nab")
    write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nab, "MADE_UP", 1)
        return nab.run(Options(folder=str(folder)), Progress(disable=True))


def test_spikes_are_found_and_those_that_nobody_labelled_are_false(section: Section) -> None:
    figures = {one.name: one.value for one in section.figures}
    assert figures["precision"] == 50
    assert figures["recall"] == 100
    assert figures["false alerts"] == pytest.approx(2 / (4 * (9 - 5 / 288 - 0.15 * 9) - 3 / 24), rel=0.02)


def test_the_table_has_detectors_naive_ones_and_chance_for_all_series_and_both_halves(section: Section) -> None:
    detectors, calm = section.tables
    names = {row[0].split(",")[0] for row in detectors.rows}
    assert names == {"anomaly", "chance", *NAIVE}
    assert [row[1] for row in detectors.rows[:3]] == ["all", "chosen by", "the others"]
    assert [row[0] for row in calm.rows] == list(KINDS)
    assert all(float(cell) >= 0 for row in calm.rows for cell in row[1:])


def series(*windows: tuple[int, int], size: int = 100) -> Labelled:
    """Of so many buckets, of which the first ten are not judged."""
    scaled = [(from_ * BUCKET_MS, to * BUCKET_MS) for from_, to in windows]
    return Labelled("some/one.csv", 0, 10 * BUCKET_MS, np.ones(size), scaled)


def test_two_alerts_in_a_window_are_two_true_ones_and_find_it_once() -> None:
    one = series((20, 30), (40, 50))
    found = counted(one, [place * BUCKET_MS for place in (5, 20, 30, 35, 60)])
    assert (found.true, found.false, found.found, found.windows) == (2, 2, 1, 2)
    assert found.days == pytest.approx(70 * BUCKET_MS / 86_400_000)
    assert found.cells == ["4", "50.0 % (33.3 %)", "1 of 2, 50.0 %", f"{2 / found.days:.3f}"]


def test_chance_finds_as_much_as_the_windows_take_of_the_time() -> None:
    one = series((20, 29))
    found = by_chance(one, [50 * BUCKET_MS])
    assert found.precision == pytest.approx(0.1)
    assert found.recall == pytest.approx(0.1)
    assert by_chance(one, [50 * BUCKET_MS] * 2).recall == pytest.approx(0.19)
    assert counted(one, []) + Counted() == counted(one, [])


def test_an_alert_that_goes_on_is_one_and_one_that_comes_again_after_hours_is_another() -> None:
    scores = np.zeros(200)
    scores[[20, 21, 30, 40, 120]] = 2.0
    opened = [at_ms // BUCKET_MS for at_ms in nab.opened(series(size=200), scores)]
    assert opened == [21, 121]


def test_of_a_gap_nothing_is_read_and_of_what_is_not_known_nothing_is_said() -> None:
    one = series(size=200)
    one.levels[100:110] = np.nan
    scores = np.full(200, np.nan)
    scores[90:] = 0.0
    scores[[95, 115]] = 2.0
    assert [at_ms // BUCKET_MS for at_ms in nab.opened(one, scores)] == [96]


@pytest.mark.parametrize("name", list(NAIVE))
def test_naive_detectors_see_a_jump_and_only_what_came_before_it(name: str) -> None:
    noise = np.random.default_rng(5).normal(10, 1, 4 * DAY)
    jump = noise.copy()
    jump[3 * DAY :] += 100
    before, after = NAIVE[name](noise), NAIVE[name](jump)
    assert after[3 * DAY] > 10
    np.testing.assert_allclose(before[: 3 * DAY], after[: 3 * DAY], rtol=1e-6)
    assert np.isnan(before[:DAY]).all()


def test_series_are_read_in_buckets_of_utc_and_judged_after_fifteen_percent(tmp_path: Path) -> None:
    write(tmp_path)
    first = next(labelled(tmp_path))
    assert first.name == "some0/series-0.csv"
    assert first.start_ms == int(START.timestamp()) * 1000
    assert len(first.levels) == SIZE
    assert first.judged_from_ms == first.start_ms + int(0.15 * SIZE) * BUCKET_MS
    assert first.windows[0][1] - first.windows[0][0] == 18 * BUCKET_MS


def test_made_up_series_are_the_same_each_time_and_unlike_each_other() -> None:
    one, other = made_up("noise", 2)
    (again,) = made_up("noise", 1)
    np.testing.assert_array_equal(one.levels, again.levels)
    assert not np.array_equal(one.levels, other.levels)


def test_without_the_folder_it_says_what_is_missing(tmp_path: Path) -> None:
    for folder in ("", str(tmp_path)):
        with pytest.raises(SystemExit, match="give --folder"):
            nab.run(Options(folder=folder), Progress(disable=True))
