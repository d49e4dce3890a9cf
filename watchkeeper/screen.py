"""The live screen of `watchkeeper up`: one function from a `View` to something that rich can draw."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from watchkeeper.view import AlertView, Health, ProcessView, View
from watchkeeper.words import behind, compared, duration, entity, size, time_of_day

# Word, symbol and colour: the colour never stands alone.
_LOOK: Mapping[Health, tuple[str, str]] = {
    Health.STARTING: ("…", "cyan"),
    Health.HEALTHY: ("✓", "green"),
    Health.UNHEALTHY: ("!", "bold yellow"),
    Health.SILENT: ("?", "bold yellow"),
    Health.RESTARTING: ("↻", "bold red"),
    Health.STOPPING: ("…", "cyan"),
    Health.STOPPED: ("–", "dim"),
}
_SEVERITY: Mapping[str, tuple[str, str]] = {"critical": ("▲", "bold red"), "warning": ("△", "yellow")}
_ASCII = str.maketrans({"…": "~", "✓": "+", "↻": "*", "–": "-", "▲": "!", "△": "!", "·": "|"})
MAX_ALERTS = 12
MAX_EVENTS = 5


def screen(view: View, *, unicode: bool = True) -> RenderableType:
    """The whole screen.

    Args:
        view: What to show.
        unicode: Whether the terminal can show more than ASCII.
    """
    parts: list[RenderableType] = [_title(view), _processes(view), *_alerts(view), *_commands(view), *_events(view)]
    parts.append(Text("Ctrl-C stops everything in order.", style="dim"))
    return Padding(Group(*(part if unicode else _ascii(part) for part in parts)), (0, 0, 0, 1))


def _ascii(part: RenderableType) -> RenderableType:
    if isinstance(part, Text):
        part.plain = part.plain.translate(_ASCII)
    elif isinstance(part, Table):
        for column in part.columns:
            column._cells = [cell.translate(_ASCII) if isinstance(cell, str) else _ascii(cell) for cell in column.cells]
    return part


def _title(view: View) -> Text:
    healthy = view.healthy
    symbol, style = _LOOK[Health.HEALTHY if healthy else Health.UNHEALTHY]
    words = "healthy" if healthy else "not healthy"
    return Text.assemble(
        ("watchkeeper ", "bold"),
        (f"{symbol} {words}", style),
        f"   up {duration(view.uptime_s)}   newest rollup {rollup_age(view)}\n",
        (f"Kafka {view.kafka}   ClickHouse {view.clickhouse}   data {view.data_dir}", "dim"),
        overflow="ellipsis",
        no_wrap=True,
    )


def _processes(view: View) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", expand=True)
    table.add_column("process", no_wrap=True)
    # It alone gives way where the terminal is narrow: notes are wrapped, numbers stay whole.
    table.add_column("state", min_width=12)
    for title in ("pid", "uptime", "restarts", "per s", "lag", "memory"):
        table.add_column(title, justify="right", no_wrap=True)
    for process in view.processes:
        table.add_row(process.name, state(process), *_numbers(process))
    return table


def _numbers(process: ProcessView) -> tuple[str, ...]:
    return (
        str(process.pid or "–"),
        duration(process.uptime_s) if process.pid else "–",
        str(process.restarts),
        "–" if process.per_s is None else f"{process.per_s:,.0f}",
        "–" if process.lag is None else f"{process.lag:,}",
        "–" if process.memory_bytes is None else size(process.memory_bytes),
    )


def state(process: ProcessView) -> Text:
    """Symbol, word and notes of a process."""
    symbol, style = _LOOK[process.health]
    notes = [f"  {note}" for note in (process.note, behind(process.lag_s, process.catch_up_s)) if note]
    return Text.assemble((f"{symbol} {process.health}", style), *notes)


def _alerts(view: View) -> list[RenderableType]:
    if view.alerts is None:
        return [Text("? ClickHouse does not answer: what fires is not known now\n", style="yellow")]
    if not view.alerts:
        return [Text("✓ no alert fires\n", style="green")]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim", title_justify="left", expand=True)
    for title, ratio in (("firing", 2), ("rule", 3), ("entity", 4), ("since", 2), ("value", 3)):
        table.add_column(title, ratio=ratio, overflow="fold")
    for alert in view.alerts[:MAX_ALERTS]:
        table.add_row(
            severity(alert),
            alert.rule,
            Text(entity(alert.entity)),
            _since(alert, view.now_ms),
            compared(alert.value, alert.threshold),
        )
    if len(view.alerts) > MAX_ALERTS:
        table.add_row("", f"and {len(view.alerts) - MAX_ALERTS} more: watchkeeper alerts list")
    return [table]


def severity(alert: AlertView) -> Text:
    """Symbol and word of an alert's severity, and its state where that is not simply firing."""
    symbol, style = _SEVERITY.get(alert.severity, ("·", ""))
    return Text.assemble((f"{symbol} {alert.severity}", style), "" if alert.state == "firing" else f" {alert.state}")


def _since(alert: AlertView, now_ms: int) -> str:
    return duration(max(0, now_ms - alert.since_ms) / 1000)


def _commands(view: View) -> list[RenderableType]:
    where = f", in {view.called_in}" if view.called_in else ""
    return [Text("\n".join([f"Try in another terminal{where}:", *(f"  {line}" for line in view.commands)]) + "\n")]


def _events(view: View) -> list[RenderableType]:
    lines = [f"{time_of_day(event.at_ms)}  {event.text}" for event in list(view.events)[-MAX_EVENTS:]]
    return [Text("\n".join(lines) + "\n", overflow="ellipsis", no_wrap=True)] if lines else []


def status_line(view: View) -> str:
    """One plain line, for where no terminal is."""
    states = ", ".join(f"{process.name} {process.health}" for process in view.processes)
    rates = {process.name: process.per_s for process in view.processes if process.per_s is not None}
    lag = sum(process.lag or 0 for process in view.processes)
    return (
        f"{time_of_day(view.now_ms)} {states}; samples/s {rates.get('process', 0):.0f}, lag {lag},"
        f" newest rollup {rollup_age(view)}, firing {_firing(view)}"
    )


def _firing(view: View) -> str:
    """How many alerts fire; of how many it is not known any more, since their data stopped."""
    if view.alerts is None:
        return "unknown"
    stale = sum(alert.state == "stale" for alert in view.alerts)
    return f"{len(view.alerts) - stale}" + (f", stale {stale}" if stale else "")


def rollup_age(view: View) -> str:
    """How old the newest stored window is, in words."""
    return "not yet" if view.rollup_age_s is None else f"{duration(view.rollup_age_s)} ago"
