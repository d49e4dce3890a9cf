"""The live screen: readable where a terminal is narrow, and whatever a record says."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from watchkeeper.commands.output import table
from watchkeeper.screen import screen
from watchkeeper.up import called_as, worth_trying
from watchkeeper.view import AlertView, Health, ProcessView, View
from watchkeeper.words import moment

NOW_MS = 1_790_000_000_000
PROCESS = ProcessView(name="process", health=Health.HEALTHY, pid=34567, uptime_s=700, per_s=1234, lag=12_345)
VIEW = View(
    now_ms=NOW_MS,
    uptime_s=5_000,
    data_dir="/srv/someone/.local/share/watchkeeper",
    kafka="127.0.0.1:17600",
    clickhouse="127.0.0.1:17601",
    processes=[
        ProcessView(name="clickhouse", health=Health.HEALTHY, pid=34566, uptime_s=700, memory_bytes=1_321_000_000),
        PROCESS,
    ],
    alerts=[AlertView(rule="cpu-busy", entity={"source": "web"}, state="firing", severity="critical", since_ms=NOW_MS)],
    newest_rollup_ms=NOW_MS,
    commands=["watchkeeper alerts tail"],
)


def drawn(view: View, *, width: int, unicode: bool = True) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(screen(view, unicode=unicode))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_every_word_and_number_is_whole_on_a_terminal_of_common_width(width: int) -> None:
    lines = drawn(VIEW, width=width).splitlines()
    (titles,) = [line.split() for line in lines if "restarts" in line]
    assert titles == ["process", "state", "pid", "uptime", "restarts", "per", "s", "lag", "memory"]
    (process,) = [line.split() for line in lines if "34567" in line]
    assert process == ["process", "✓", "healthy", "34567", "11", "min", "40", "s", "0", "1,234", "12,345", "–"]
    (clickhouse,) = [line for line in lines if "34566" in line]
    assert clickhouse.split()[-2:] == ["1.3", "GB"]
    assert max(map(len, lines)) <= width


HOSTILE = "[/nowhere] \x1b[2J\u202e"
"""Markup that closes nothing, a terminal's command, and a mark that turns writing around."""


def test_what_a_producer_wrote_is_no_markup_and_no_command() -> None:
    alert = AlertView(rule="busy", entity={"q": HOSTILE}, state="firing", severity="critical", since_ms=NOW_MS)
    shown = drawn(replace(VIEW, alerts=[alert]), width=160)
    assert r"q=[/nowhere] \x1b[2J\u202e" in shown
    assert not any(mark in shown for mark in ("\x1b", "\u202e"))


def test_a_table_shows_what_a_producer_wrote_on_a_terminal_and_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for terminal in (True, False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda terminal=terminal: terminal)
        table(("entity",), [(f"{HOSTILE}\nnext",)], empty="")
        assert r"[/nowhere] \x1b[2J\u202e next" in capsys.readouterr().out


def test_where_only_ascii_can_be_shown_nothing_else_is() -> None:
    restarting = replace(PROCESS, health=Health.RESTARTING, note="again in 4 s")
    shown = drawn(replace(VIEW, processes=[restarting], data_dir="/data"), width=80, unicode=False)
    # The rule of a table is the terminal library's, which draws another where it must.
    assert shown.replace("─", "-").isascii()


@pytest.mark.parametrize("file", ["watchkeeper", "else/watchkeeper"])
def test_commands_are_told_as_they_can_be_typed(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / file
    program.parent.mkdir(exist_ok=True)
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    on_path = program.parent == tmp_path
    assert called_as(str(program)) == ("watchkeeper" if on_path else str(program), "")
    assert called_as(file) == ("watchkeeper", "") if on_path else called_as(file) == (file, str(tmp_path))
    assert called_as(str(tmp_path / "__main__.py")) == (f"{sys.executable} -m watchkeeper", "")


def test_a_data_folder_of_its_own_is_named_once_before_the_commands() -> None:
    first, *commands = worth_trying(Path("/data dir"), "watchkeeper")
    assert first == "export WATCHKEEPER_DATA_DIR='/data dir'"
    assert len(commands) == 3
    assert all(command.startswith("watchkeeper ") and "data dir" not in command for command in commands)


def test_a_time_that_no_calendar_holds_stays_a_number() -> None:
    assert moment(NOW_MS) == "2026-09-21T14:13:20Z"
    assert moment(2**63 - 1) == "9223372036854775807 ms"
