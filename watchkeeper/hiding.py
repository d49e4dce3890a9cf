"""The command line's `silences` and `maintenance`, see `watchkeeper.app`."""

from typing import Annotated

import typer

from watchkeeper.options import AsJson, Config, DataDir

Matchers = Annotated[
    list[str] | None,
    typer.Argument(help="Which alerts: source=web-1, severity!=critical, 'source=~web-.*'.", metavar="MATCHER..."),
]
For = Annotated[str, typer.Option("--for", help="How long: 90m, 2h, 3d.", metavar="DURATION")]
Comment = Annotated[str, typer.Option("--comment", help="Why.", metavar="TEXT")]
Everything = Annotated[bool, typer.Option("--everything", help="Really all alerts.")]
All = Annotated[bool, typer.Option("--all", help="Those too that no longer hold.")]
Id = Annotated[str, typer.Argument(help="As `list` names it, or the begin of it.", metavar="ID")]

silences = typer.Typer(help="Alerts that are not told for a while.", no_args_is_help=True)
maintenance = typer.Typer(help="Alerts that are not told at times that recur.", no_args_is_help=True)


@silences.command("add")
def silences_add(
    lasts: For,
    comment: Comment,
    matchers: Matchers = None,
    begins: Annotated[str, typer.Option("--from", help="When it begins; now otherwise.", metavar="TIME")] = "",
    everything: Everything = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Keep alerts from being told for a while. They stay visible."""
    from watchkeeper.commands.silences import add

    add(matchers or [], {"data_dir": data_dir}, config, lasts=lasts, begins=begins, comment=comment,
        everything=everything)  # fmt: skip


@silences.command("list")
def silences_list(all_: All = False, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """List silences that hold or will."""
    from watchkeeper.commands.silences import show

    show("silence", {"data_dir": data_dir}, config, all_=all_, as_json=as_json)


@silences.command("expire")
def silences_expire(name: Id, data_dir: DataDir = None, config: Config = None) -> None:
    """End a silence now."""
    from watchkeeper.commands.silences import expire

    expire("silence", name, {"data_dir": data_dir}, config)


@silences.command("preview")
def silences_preview(
    matchers: Matchers = None,
    last: Annotated[str, typer.Option("--last", help="How far to look back: 2h, 30d.", metavar="DURATION")] = "30d",
    everything: Everything = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say which alerts of the past a silence would have hidden."""
    from watchkeeper.commands.silences import preview

    preview(matchers or [], {"data_dir": data_dir}, config, last=last, everything=everything, as_json=as_json)


@maintenance.command("add")
def maintenance_add(  # noqa: PLR0917  (options, all of them named)
    name: Annotated[str, typer.Argument(help="Its name; one that there is changes.", metavar="NAME")],
    first: Annotated[str, typer.Option("--at", help="Local time of the first one: 2026-11-29T02:00.", metavar="TIME")],
    lasts: For,
    comment: Comment,
    matchers: Matchers = None,
    rrule: Annotated[
        str, typer.Option("--rrule", help="When it recurs (RFC 5545): FREQ=WEEKLY;BYDAY=SU.", metavar="RULE")
    ] = "",
    zone: Annotated[str, typer.Option("--zone", help="Time zone: Europe/Berlin.", metavar="ZONE")] = "UTC",
    everything: Everything = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Add or change times at which alerts are not told."""
    from watchkeeper.commands.silences import maintain

    maintain(name, matchers or [], {"data_dir": data_dir}, config, everything=everything, lasts=lasts, first=first,
             rrule=rrule, zone=zone, comment=comment)  # fmt: skip


@maintenance.command("list")
def maintenance_list(
    all_: All = False, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False
) -> None:
    """List maintenance."""
    from watchkeeper.commands.silences import show

    show("maintenance", {"data_dir": data_dir}, config, all_=all_, as_json=as_json)


@maintenance.command("expire")
def maintenance_expire(name: Id, data_dir: DataDir = None, config: Config = None) -> None:
    """Turn maintenance off."""
    from watchkeeper.commands.silences import expire

    expire("maintenance", name, {"data_dir": data_dir}, config)


routes = typer.Typer(help="Who is told of which alerts.", no_args_is_help=True)


@routes.command("check")
def routes_check(file: Annotated[str, typer.Argument(help="A file of receivers and routes.", metavar="FILE")]) -> None:
    """Say whether a file of receivers and routes can be used."""
    from watchkeeper.commands.routes import check

    check(file)


@routes.command("explain")
def routes_explain(
    labels: Annotated[list[str], typer.Argument(help="Labels of an alert: source=web-1.", metavar="NAME=VALUE...")],
    file: Annotated[str, typer.Option("--file", help="Otherwise notify.file of the settings.", metavar="FILE")] = "",
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Say who would be told of an alert, together with which others, and why others would not."""
    from watchkeeper.commands.routes import explain

    explain(labels, file, {"data_dir": data_dir}, config)
