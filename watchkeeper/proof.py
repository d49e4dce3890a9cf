"""The command line of what proves that nothing is lost or double: `audit` and `ledger`. Part of `watchkeeper.app`."""

from typing import Annotated

import typer

from watchkeeper.options import AsJson, Config, DataDir

Until = Annotated[str, typer.Option("--to", help="Where to end.", metavar="TIME", show_default="now")]


def audit(
    since: Annotated[
        str, typer.Option("--from", help="The first hour: 2026-11-25T17:00:00Z, or 2h for so long ago.", metavar="TIME")
    ] = "1d",
    until: Until = "0s",
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare the rollups of closed hours with the raw rows. Exit code: 0 all equal, 1 not.

    The sink does so by itself; what it found is in the view watchkeeper.audits.
    """
    from watchkeeper.commands.audit import run

    raise typer.Exit(run({"data_dir": data_dir}, config, since=since, until=until, as_json=as_json))


def ledger(
    since: Annotated[
        str,
        typer.Option(
            "--from", help="By the clock of the logs: 2026-11-25T17:00:00Z, or 2h for so long ago.", metavar="TIME"
        ),
    ] = "15min",
    until: Until = "0s",
    topics: Annotated[
        list[str] | None,
        typer.Option("--topic", help="Only this input topic; repeatable. Default: all of them.", metavar="TOPIC"),
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare what each stage gave with what the next one has, and name where something is lost or double.

    Reads the logs from Kafka again. Exit code: 0 everything balances, 1 not.
    """
    from watchkeeper.commands.ledger import run

    arguments = {"data_dir": data_dir}
    raise typer.Exit(run(arguments, config, topics=topics or [], since=since, until=until, as_json=as_json))
