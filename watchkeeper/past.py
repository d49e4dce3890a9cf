"""The command line of what is done again: refused records that are sent again. Part of `watchkeeper.app`."""

from typing import Annotated

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
