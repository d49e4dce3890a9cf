"""Scenarios of faults and of habits: some of each kind, and what the rules say of them."""

import pytest

from benchmarks.scenarios import FAULTS, HABITS, judged, section

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("kind", range(len(HABITS)), ids=[one.__name__ for one in HABITS])
def test_what_operators_do_every_day_raises_nothing(kind: int) -> None:
    verdict = judged(2 * kind)
    assert (verdict.name, verdict.true, verdict.false) == (HABITS[kind].__name__, 0, [])


@pytest.mark.parametrize("kind", range(len(FAULTS)), ids=[one.__name__ for one in FAULTS])
def test_every_fault_is_found_and_nothing_else_is_told(kind: int) -> None:
    verdict = judged(2 * kind + 1)
    assert (verdict.name, verdict.false) == (FAULTS[kind].__name__, [])
    assert verdict.true >= 1
    assert verdict.delay_s is not None
    assert verdict.delay_s < 300


def test_figures_count_alerts_and_faults() -> None:
    told = [judged(0), judged(1)]
    told[0].false.append("cpu-busy web-1")
    figures = {one.name: one for one in section(told).figures}
    assert figures["false discovery rate"].value == 50
    assert figures["faults that are found"].value == 100
    assert figures["false discovery rate"].met is False
