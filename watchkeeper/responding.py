"""The command line's `incidents`, see `watchkeeper.app`."""

from typing import Annotated

import typer

from schemas.incidents import Action
from watchkeeper.options import AsJson, Config, DataDir, Limit

Id = Annotated[str, typer.Argument(help="As `list` names it, or the begin of it.", metavar="INCIDENT")]
Comment = Annotated[str, typer.Option("--comment", help="What others should know.", metavar="TEXT")]

incidents = typer.Typer(help="Alerts that belong together, and who takes care of them.", no_args_is_help=True)


@incidents.command("list")
def incidents_list(
    all_: Annotated[bool, typer.Option("--all", help="Those too that are resolved.")] = False,
    limit: Limit = 50,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List incidents that are open, the newest first."""
    from watchkeeper.commands.incidents import show_all

    show_all({"data_dir": data_dir}, config, all_=all_, limit=limit, as_json=as_json)


@incidents.command("show")
def incidents_show(name: Id, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show an incident: its alerts, and all that happened to it."""
    from watchkeeper.commands.incidents import show

    show(name, {"data_dir": data_dir}, config, as_json=as_json)


@incidents.command("ack")
def incidents_ack(
    name: Id,
    assign: Annotated[str, typer.Option("--assign", help="Who takes care of it, if it is not you.")] = "",
    comment: Comment = "",
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Say that somebody takes care of it: nobody is reminded of its alerts, and it does not escalate."""
    from watchkeeper.commands.incidents import act

    act(name, Action.ACKNOWLEDGE, {"data_dir": data_dir}, config, assigned_to=assign, comment=comment)


@incidents.command("assign")
def incidents_assign(
    name: Id,
    to: Annotated[str, typer.Option("--to", help="Who takes care of it.", metavar="WHO")],
    comment: Comment = "",
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Say who takes care of it."""
    from watchkeeper.commands.incidents import act

    act(name, Action.ASSIGN, {"data_dir": data_dir}, config, assigned_to=to, comment=comment)


@incidents.command("snooze")
def incidents_snooze(
    name: Id,
    lasts: Annotated[str, typer.Option("--for", help="How long: 30m, 2h; 0s ends it.", metavar="DURATION")],
    comment: Comment = "",
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Keep its alerts from being told for a while. They stay visible."""
    from watchkeeper.commands.incidents import act

    act(name, Action.SNOOZE, {"data_dir": data_dir}, config, lasts=lasts, comment=comment)


@incidents.command("comment")
def incidents_comment(
    name: Id,
    text: Annotated[str, typer.Argument(help="What others should know.", metavar="TEXT")],
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Note something."""
    from watchkeeper.commands.incidents import act

    act(name, Action.COMMENT, {"data_dir": data_dir}, config, comment=text)


@incidents.command("resolve")
def incidents_resolve(name: Id, comment: Comment = "", data_dir: DataDir = None, config: Config = None) -> None:
    """Say that it is over. An alert of it that fires again, or gets worse, reopens it."""
    from watchkeeper.commands.incidents import act

    act(name, Action.RESOLVE, {"data_dir": data_dir}, config, comment=comment)


@incidents.command("reopen")
def incidents_reopen(name: Id, comment: Comment = "", data_dir: DataDir = None, config: Config = None) -> None:
    """Say that it is not over."""
    from watchkeeper.commands.incidents import act

    act(name, Action.REOPEN, {"data_dir": data_dir}, config, comment=comment)
