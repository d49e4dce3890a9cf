"""The command line of what is done again: refused records that are sent again, replays. Part of `watchkeeper.app`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from watchkeeper.options import AsJson, Config, DataDir, Limit

deadletters = typer.Typer(help="Records that could not be used.", no_args_is_help=True)


@deadletters.command("list")
def deadletters_list(
    limit: Limit = 50, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False
) -> None:
    """List records that could not be used, the newest first, each with its reason."""
    from watchkeeper.commands.deadletters import show

    show({"data_dir": data_dir}, config, limit=limit, as_json=as_json)


@deadletters.command("redrive")
def deadletters_redrive(
    topic: Annotated[str, typer.Option("--topic", help="Only records of this topic.", show_default=False)] = "",
    reason: Annotated[
        str, typer.Option("--reason", help="Only records that were refused for this reason.", show_default=False)
    ] = "",
    since: Annotated[
        str,
        typer.Option(
            "--from", help="Refused then or later: 2026-11-25T10:00 in UTC, or 2h for so long ago.", metavar="TIME"
        ),
    ] = "1970-01-01",
    until: Annotated[str, typer.Option("--to", help="Refused before then.", metavar="TIME", show_default="now")] = "0s",
    ids: Annotated[
        list[str] | None,
        typer.Option("--id", help="Only this record, as `deadletters list` names it; repeatable.", metavar="RECORD"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send them; otherwise it is shown what would be sent.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Send refused records to their topics again, once each.

    Shows what would be sent, and asks on a terminal. Exit code: 0, or 1 when a record is refused again.
    """
    from watchkeeper.commands.deadletters import redrive, selection

    chosen = selection(topic, reason, since=since, until=until, ids=ids or [])
    raise typer.Exit(redrive({"data_dir": data_dir}, config, chosen, yes=yes))


replay = typer.Typer(help="The past once more, into side tables.")


@replay.callback(invoke_without_command=True)
def replay_run(  # noqa: PLR0917  (options, all of them named)
    context: typer.Context,
    since: Annotated[
        str, typer.Option("--from", help="Where to begin: 2026-11-25T10:00 in UTC, or 2h for so long ago.")
    ] = "",
    until: Annotated[str, typer.Option("--to", help="Where to end.", metavar="TIME", show_default="now")] = "0s",
    name: Annotated[str, typer.Option("--name", help="Of the side tables.", metavar="NAME")] = "replay",
    rules: Annotated[
        Path | None,
        typer.Option("--rules", help="A file of rules; otherwise those in force then.", metavar="FILE"),
    ] = None,
    window_s: Annotated[
        int | None, typer.Option("--window-s", help="Length of the windows.", show_default=False)
    ] = None,
    lateness_ms: Annotated[
        int | None, typer.Option("--lateness-ms", help="How long windows wait for late records.", show_default=False)
    ] = None,
    source: Annotated[
        Literal["auto", "kafka", "clickhouse"],
        typer.Option("--source", help="Where the records are from; auto: Kafka, else raw rows in ClickHouse."),
    ] = "auto",
    replaces: Annotated[bool, typer.Option("--replace", help="Take the place of a replay of this name.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Fold and evaluate a stretch of the past once more, and compare it with what was made of it then.

    Writes the tables watchkeeper_replay.NAME_rollups and NAME_transitions; the live ones are only read.
    """
    if context.invoked_subcommand is not None:
        return
    if not since:
        raise typer.BadParameter("is missing: say where to begin, such as --from 2h", param_hint="--from")
    from watchkeeper.commands.replay import run

    run({"data_dir": data_dir}, config, name=name, since=since, until=until, rules=rules, window_s=window_s,
        lateness_ms=lateness_ms, source=source, replaces=replaces)  # fmt: skip


@replay.command("list")
def replay_list(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the replays that have side tables."""
    from watchkeeper.commands.replay import show

    show({"data_dir": data_dir}, config, as_json=as_json)


@replay.command("drop")
def replay_drop(
    name: Annotated[str, typer.Argument(help="As `replay list` names it.", metavar="NAME")],
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Drop the side tables of a replay."""
    from watchkeeper.commands.replay import drop

    drop({"data_dir": data_dir}, config, name)
