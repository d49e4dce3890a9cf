"""The command line's `rules`, see `watchkeeper.app`."""

from pathlib import Path
from typing import Annotated

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
