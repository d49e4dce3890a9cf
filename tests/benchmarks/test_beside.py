"""The worker beside others: whose figures count, and what the documents show of them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import beside, comparison, exact, page, stream
from benchmarks.beside import HUNDRED, ONE, PEERS, WORKER, Peer, cost_name, ratio_name
from benchmarks.figures import Figure
from benchmarks.options import Options

ROOT = Path(__file__).parents[2]
LOAD = stream.Load(total=60_000, samples_per_record=1)


def figures(peer: Peer, *, peer_s: float) -> list[dict[str, Any]]:
    promise = peer.promises[ONE]
    ratio = Figure(
        name=ratio_name(ONE, peer.name),
        value=peer_s / 2,
        unit="×",
        target=promise.times,
        at_least=True,
        strict=promise.strict,
    )
    cost = Figure(name=cost_name(ONE, peer.name), value=peer_s, unit="s")
    return page.data([Figure(name=cost_name(ONE, WORKER), value=2, unit="s"), cost, ratio])


@pytest.mark.parametrize(
    ("name", "peer_s", "met"),
    [
        ("Faust", 60, "yes"),
        ("Faust", 59, "no"),
        ("Quix", 24, "yes"),
        ("Quix", 23, "no"),
        ("Bytewax", 40, "yes"),
        ("Bytewax", 39, "no"),
        ("ClickHouse", 2.1, "yes"),
        ("ClickHouse", 2, "no"),
        ("a loop", 0.8, "yes"),
        ("a loop", 0.7, "no"),
    ],
)
def test_a_promise_is_met_by_how_much_more_a_peer_needs(name: str, peer_s: float, met: str) -> None:
    peer = next(peer for peer in PEERS if peer.name.startswith(name))
    worker, row = beside.table(figures(peer, peer_s=peer_s)).rows
    assert worker == [WORKER, ONE, "2", "", "", ""]
    assert (row[0], row[1], row[2], row[5]) == (peer.name, ONE, f"{peer_s:g}", met)
    assert row[4] == peer.promises[ONE].words


def test_the_table_has_no_row_of_what_was_not_measured() -> None:
    assert beside.table([]).rows == []
    assert len(beside.table(page.data([Figure(name=cost_name(HUNDRED, WORKER), value=1, unit="s")])).rows) == 1


def told(wanted: exact.Totals) -> Mapping[str, Any]:
    return {"count": sum(one.n for one in wanted.values()), "total": sum(one.total for one in wanted.values())}


def test_a_peer_whose_rows_lack_a_sample_or_have_another_value_is_wrong() -> None:
    wanted = exact.expected(LOAD)
    right = told(wanted)
    assert comparison.wrong(right, wanted, last_open=False) == ""
    assert "not 60000" in comparison.wrong({**right, "count": right["count"] - 1}, wanted, last_open=False)
    assert "with a sum of" in comparison.wrong({**right, "total": right["total"] * 1.001}, wanted, last_open=False)


def test_the_last_window_of_each_series_is_not_asked_of_a_peer_that_leaves_it_open() -> None:
    wanted = exact.expected(LOAD)
    # 60,000 samples of 4,000 series, one each second: 15 s, and so two windows of each.
    first = {key: total for key, total in wanted.items() if key[1] == stream.START_MS}
    assert len(wanted) == 2 * len(first)
    assert comparison.wrong(told(first), wanted, last_open=True) == ""
    assert comparison.wrong(told(wanted), wanted, last_open=True)


def test_the_beginning_of_the_log_is_the_same_part_of_both_inputs() -> None:
    one, hundred = comparison.cases(Options(records=50_000, samples=200_000, peer_records=10_000))
    assert (one.load.total, one.beginning.total) == (50_000, 10_000)
    assert (hundred.load.total, hundred.beginning.total) == (200_000, 40_000)


def test_every_peer_is_a_program_and_its_package_is_pinned() -> None:
    pinned = (ROOT / "requirements" / "bench.txt").read_text()
    runtime = (ROOT / "requirements" / "runtime.txt").read_text()
    for peer in PEERS:
        assert (ROOT / "benchmarks" / "peers" / f"{peer.module}.py").is_file()
        assert re.search(rf"^{peer.package}==", runtime if peer.shared else pinned, re.MULTILINE)
