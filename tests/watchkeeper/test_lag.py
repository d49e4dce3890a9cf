"""The lag as people and programs see it: `status`, `status --json` and the live screen."""

import math
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.watchkeeper.test_instance import INSTANCE
from watchkeeper.commands.status import document, lines
from watchkeeper.instance import ProcessEntry
from watchkeeper.screen import screen
from watchkeeper.view import ProcessView, View
from watchkeeper.watch import Look, processes

KEEPS_UP = {"lag_records": 3, "lag_s": 0.8, "catch_up_s": 0.0, "falling_behind": False}
CATCHES_UP = {"lag_records": 12_000, "lag_s": 75.2, "catch_up_s": 9.0, "falling_behind": False}
FALLS_BEHIND = {"lag_records": 12_000, "lag_s": 75.2, "catch_up_s": None, "falling_behind": True}
RESTARTED = {"lag_records": 12_000, "lag_s": 75.2, "catch_up_s": None, "falling_behind": False}
NO_TIME_YET = {"lag_records": 12_000, "lag_s": None, "catch_up_s": None, "falling_behind": False}


def seen(**figures: dict[str, Any]) -> Look:
    """What these processes said of themselves."""
    entries = {name: ProcessEntry(pid=None, state="running", metrics="127.0.0.1:1") for name in figures}
    told = {name: {"healthy": True, **of} for name, of in figures.items()}
    return Look(at_s=0.0, at_ms=1, entries=entries, figures=told, alerts=())


def status(figures: dict[str, Any]) -> str:
    look = seen(sink=figures)
    return "\n".join(lines(Path("data"), INSTANCE, look, processes(look), healthy=True))


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        (KEEPS_UP, "lag 3"),
        (CATCHES_UP, "lag 12000 (1 min 15 s behind, caught up in 9 s)"),
        (FALLS_BEHIND, "lag 12000 (1 min 15 s behind, never caught up at this rate)"),
        (RESTARTED, "lag 12000 (1 min 15 s behind)"),
        (NO_TIME_YET, "lag 12000"),
    ],
)
def test_status_says_how_far_a_process_is_behind_and_when_it_will_have_caught_up(
    figures: dict[str, Any], told: str
) -> None:
    line = next(line for line in status(figures).splitlines() if line.startswith("sink"))
    assert line.endswith(told)


def test_status_as_json_holds_each_processs_lag_and_the_greatest() -> None:
    told = document(Path("data"), INSTANCE, seen(process=KEEPS_UP, sink=FALLS_BEHIND, collect={}), healthy=True)

    assert told["lag_s"] == 75.2
    assert document(Path("data"), INSTANCE, seen(collect={}), healthy=True)["lag_s"] is None


def test_the_live_screen_shows_it_beside_the_state() -> None:
    view = View(
        now_ms=1,
        uptime_s=1.0,
        data_dir="data",
        kafka="k",
        clickhouse="c",
        processes=processes(seen(process=CATCHES_UP, sink=KEEPS_UP)),
        alerts=(),
    )
    drawn = StringIO()
    Console(width=300, file=drawn).print(screen(view))

    shown = {line.split()[0]: line for line in drawn.getvalue().splitlines() if "✓ healthy  " in line}
    assert "1 min 15 s behind, caught up in 9 s" in shown["process"]
    assert "behind" not in shown["sink"]


def test_a_rate_that_is_not_known_is_no_never() -> None:
    (sink,) = processes(seen(sink=RESTARTED))

    assert isinstance(sink, ProcessView)
    assert sink.catch_up_s is None
    assert processes(seen(sink=FALLS_BEHIND))[0].catch_up_s == math.inf
