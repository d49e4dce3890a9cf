"""The benchmarks measure what they say: small runs of them end to end, and the page says what the data says."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import exact, page, stream
from benchmarks.exact import Mismatch
from benchmarks.figures import Figure, Section, Table, p95
from benchmarks.sink import Totals

ROOT = Path(__file__).parents[2]
LOAD = stream.Load(total=4_000, samples_per_record=1)


def ran(*arguments: str) -> str:
    """What a run prints; an assertion error where it fails."""
    command = [sys.executable, "-m", "benchmarks", *arguments, "--no-write"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=110, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr[-2_000:]
    return ended.stdout


@pytest.mark.slow
def test_a_small_run_of_the_rollup_is_exact_and_tells_its_figures() -> None:
    small = ("--records", "8000", "--samples", "20000", "--rounds", "1")
    told = ran("rollup", *small)
    for name in ("records of one sample", "records of 100"):
        assert f"rollup, {name}: " in told


@pytest.mark.slow
def test_a_small_run_of_the_sink_is_exact_and_tells_its_figures() -> None:
    told = ran("sink", "--rollup-rows", "4000", "--raw-samples", "2000", "--rounds", "1")
    for name in ("rollup rows, 50 in a record", "rollup rows, 250 in a record", "raw samples"):
        assert f"sink, {name}: " in told


@pytest.mark.parametrize("name", Totals.__slots__)
def test_stored_rows_that_add_up_to_something_else_are_not_those_published(name: str) -> None:
    wanted = Totals(**dict.fromkeys(Totals.__slots__, 7))
    assert wanted.same(replace(wanted, sum=7 * (1 + 1e-15)))
    assert not wanted.same(replace(wanted, **{name: 8}))


def test_a_small_run_of_the_collection_tells_its_figures() -> None:
    assert "collection round, p95: " in ran("collect", "--collections", "2")


def test_a_row_that_is_missing_or_wrong_fails_the_run() -> None:
    right = exact.expected(LOAD)
    exact.compare(right, right)
    some = next(iter(right))
    with pytest.raises(Mismatch, match="1 are missing"):
        exact.compare(right, {key: total for key, total in right.items() if key != some})
    other = next(key for key in right if right[key] != right[some])
    with pytest.raises(Mismatch, match="is right"):
        exact.compare(right, {**right, some: right[other]})


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("samples_per_record", [1, 100])
def test_the_input_has_the_hosts_metrics_and_samples_that_are_told(samples_per_record: int, wide: bool) -> None:
    load = stream.Load(total=40_000, samples_per_record=samples_per_record, wide=wide)
    records = [json.loads(one.value) for _, values in stream.seconds(load) for one in values if one.key is not None]
    samples = [(record["source"], one) for record in records for one in record["samples"]]
    series = {(source, one["metric"], one["dimensions"]["cpu"]) for source, one in samples}
    assert (len(samples), {len(record["samples"]) for record in records}) == (40_000, {samples_per_record})
    assert len(series) == stream.HOSTS * stream.METRICS * (5 if wide and samples_per_record == 100 else 1)


@pytest.mark.parametrize(
    ("value", "at_least", "strict", "met"),
    [
        (1, False, False, True),
        (2, False, False, True),
        (2, False, True, False),
        (3, False, False, False),
        (3, True, False, True),
        (1, True, False, False),
    ],
)
def test_a_figure_is_held_against_its_target(value: float, at_least: bool, strict: bool, met: bool) -> None:
    assert Figure(name="x", value=value, unit="s", target=2, at_least=at_least, strict=strict).met is met


@pytest.mark.parametrize(
    ("value", "told"), [(0.0, "0.000"), (0.00049929, "0.0005"), (0.0123, "0.012"), (123_456.0, "123456.000")]
)
def test_a_figure_that_is_small_is_not_told_as_nothing(value: float, told: str) -> None:
    assert Figure(name="x", value=value, unit="s").line == f"x: {told} s"


def test_the_p95_is_a_value_that_was_measured() -> None:
    assert p95([float(number) for number in range(1, 101)]) == 95.0
    assert p95([7.0]) == 7.0


def test_the_page_holds_every_figure_with_its_target_and_whether_it_was_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(page, "DATA", tmp_path / "data.json")
    figures = [Figure(name="a", value=1.23456, unit="s", target=2), Figure(name="b", value=5, unit="MB", target=4)]
    table = Table(title="T", headings=("h",), rows=(("cell",),))
    page.write({"s": Section(title="S", how="So.", figures=figures, tables=[table])}, ["s"])
    data = json.loads((tmp_path / "data.json").read_text())
    assert data["s"]["figures"] == [
        {"name": "a", "value": 1.235, "unit": "s", "target": "<= 2", "met": True},
        {"name": "b", "value": 5.0, "unit": "MB", "target": "<= 4", "met": False},
    ]
    text = (tmp_path / "page.md").read_text()
    assert "| a | 1.235 | s | <\\= 2 | yes |" in text
    assert "| b | 5 | MB | <\\= 4 | no |" in text
    assert "| cell |" in text


def test_a_section_that_is_measured_anew_replaces_itself_and_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(page, "DATA", tmp_path / "data.json")

    def section(value: float) -> Section:
        return Section(title="S", how="So.", figures=[Figure(name="a", value=value, unit="s")])

    page.write({"second": section(2)}, ["first", "second"])
    page.write({"first": section(1), "gone": section(3)}, ["first", "second"])
    assert [one["value"] for one in page.figures(page.kept())] == [1, 2]
    page.write({"second": section(4)}, ["first", "second"])
    assert [one["value"] for one in page.figures(page.kept())] == [1, 4]
