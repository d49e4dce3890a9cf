"""The command line's `rules`, see `watchkeeper.app`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from watchkeeper.options import AsJson, Config, DataDir

RuleName = Annotated[str, typer.Argument(help="The rule's id.", metavar="ID")]
RuleFile = Annotated[Path, typer.Argument(help="A file of rules.", metavar="FILE")]

rules = typer.Typer(help="Rules: what should alert.", no_args_is_help=True)


@rules.command("list")
def rules_list(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the rules in force."""
    from watchkeeper.commands.rules import show

    show({"data_dir": data_dir}, config, as_json=as_json)


@rules.command("show")
def rules_show(rule: RuleName, data_dir: DataDir = None, config: Config = None) -> None:
    """Print a rule in force as a file that `apply` takes."""
    from watchkeeper.commands.rules import show_one

    show_one(rule, {"data_dir": data_dir}, config)


@rules.command("disable")
def rules_disable(rule: RuleName, data_dir: DataDir = None, config: Config = None) -> None:
    """Turn a rule off: its alerts end."""
    from watchkeeper.commands.rules import switch

    switch(rule, {"data_dir": data_dir}, config, enabled=False)


@rules.command("enable")
def rules_enable(rule: RuleName, data_dir: DataDir = None, config: Config = None) -> None:
    """Turn a rule on again."""
    from watchkeeper.commands.rules import switch

    switch(rule, {"data_dir": data_dir}, config, enabled=True)


@rules.command("diff")
def rules_diff(file: RuleFile, data_dir: DataDir = None, config: Config = None) -> None:
    """Say what applying a file would change, field by field."""
    from watchkeeper.commands.rules import diff

    raise typer.Exit(diff(file, {"data_dir": data_dir}, config))


@rules.command("check")
def rules_check(file: RuleFile) -> None:
    """Say whether a file of rules can be used, and how late each rule may speak."""
    from watchkeeper.commands.rules import check

    check(file)


@rules.command("test")
def rules_test(files: Annotated[list[Path], typer.Argument(help="Files of tests.", metavar="FILE...")]) -> None:
    """Run tests of rules in virtual time, and say which states no test comes to."""
    from watchkeeper.commands.rules import test

    raise typer.Exit(test(files))


@rules.command("backtest")
def rules_backtest(  # noqa: PLR0917  (options, all of them named)
    file: RuleFile,
    last: Annotated[str, typer.Option("--last", help="How much of the past, back from now.", metavar="SPAN")] = "30d",
    since: Annotated[
        str, typer.Option("--from", help="Where to begin, in the place of --last.", metavar="TIME", show_default=False)
    ] = "",
    until: Annotated[str, typer.Option("--to", help="Where to end.", metavar="TIME", show_default="now")] = "0s",
    window: Annotated[
        Literal["1m", "10s"],
        typer.Option("--window", help="1m: minutes, fast. 10s: the windows that rules are evaluated over, exact."),
    ] = "1m",
    routes: Annotated[
        str, typer.Option("--routes", help="File of receivers and routes.", metavar="FILE", show_default="notify.file")
    ] = "",
    labelled: Annotated[
        Path | None,
        typer.Option("--labelled", help="File of incidents that really were.", metavar="FILE", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
) -> None:
    """Say what the rules of a file would have done in the past: alerts, pages, and how they differ from those in force.

    Uses the state machine, silences, groups and routes that are live, on what ClickHouse holds. Changes nothing.
    """
    from watchkeeper.commands.backtest import run

    run(file, {"data_dir": data_dir}, config, last=last, since=since, until=until, window=window, routes=routes,
        labelled=labelled, as_json=as_json)  # fmt: skip


@rules.command("apply")
def rules_apply(
    file: RuleFile,
    prune: Annotated[bool, typer.Option("--prune", help="Remove the rules that are not in the file.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Put the rules of a file in force, and say what changes."""
    from watchkeeper.commands.rules import apply

    apply(file, {"data_dir": data_dir}, config, prune=prune, dry_run=dry_run)
