"""The published figures: the page and the data agree, and every target of the project is among them."""

import pytest

from benchmarks import page

KEPT = page.kept()
DATA = page.figures(KEPT)
TARGETS = (
    *("rollup, records of one sample", "rollup, records of 100"),
    *("window's end to its row in ClickHouse, p95", "breach to the record on alerts, p95", "breach to ClickHouse, p95"),
    *("ready after", "memory at rest, mean PSS", "processor at rest", "collection round, p95"),
    "memory at rest, last minute's median over the first's",
)


def test_the_page_shows_the_data() -> None:
    assert page.text(KEPT) == page.PAGE.read_text()


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_is_held_against_a_figure(name: str) -> None:
    (figure,) = [one for one in DATA if one["name"] == name]
    assert figure["target"]
    assert figure["met"] in (True, False)


def test_a_figure_is_met_when_its_value_says_so() -> None:
    for one in (one for one in DATA if one["target"]):
        sign, bound = one["target"].split()
        value, limit = one["value"], float(bound)
        assert (
            one["met"] == {"<": value < limit, "<=": value <= limit, ">": value > limit, ">=": value >= limit}[sign]
        ), one
