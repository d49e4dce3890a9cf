"""The command line: names, options and help. What a subcommand does stands in `watchkeeper.commands`.

Its modules are imported when they are called: `watchkeeper query` must not pay for the stream processor.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from watchkeeper.granting import accounts, keys
from watchkeeper.hiding import maintenance, routes, silences
from watchkeeper.options import AsJson, Config, DataDir, Limit
from watchkeeper.past import deadletters, replay
from watchkeeper.proof import audit, ledger
from watchkeeper.responding import incidents
from watchkeeper.ruling import rules

if TYPE_CHECKING:
    from watchkeeper.commands.roles import Role

app = typer.Typer(
    help="Platform monitoring as a streaming event pipeline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
topics = typer.Typer(help="The topics on Kafka.", no_args_is_help=True)
alerts = typer.Typer(help="Alerts: what fires, and what changes.", no_args_is_help=True)
config = typer.Typer(help="The settings in force.", no_args_is_help=True)
for name, group in (
    ("topics", topics),
    ("alerts", alerts),
    ("incidents", incidents),
    ("silences", silences),
    ("maintenance", maintenance),
    ("route", routes),
    ("rules", rules),
    ("deadletters", deadletters),
    ("replay", replay),
    ("keys", keys),
    ("accounts", accounts),
    ("config", config),
):
    app.add_typer(group, name=name)


def _version(wanted: bool) -> None:
    if wanted:
        from watchkeeper.version import version

        typer.echo(f"watchkeeper {version()}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def up(  # noqa: PLR0917  (options, all of them named)
    data_dir: DataDir = None,
    config: Config = None,
    port_base: Annotated[
        int | None, typer.Option("--port-base", help="First of six or seven ports.", metavar="N", show_default=False)
    ] = None,
    for_s: Annotated[
        float | None, typer.Option("--for", help="End by itself after so many seconds.", metavar="SECONDS", min=0)
    ] = None,
    no_screen: Annotated[bool, typer.Option("--no-screen", help="Plain lines instead of the live screen.")] = False,
    kafka: Annotated[
        str | None, typer.Option("--kafka", help="Use these brokers instead of the embedded one.", metavar="HOST:PORT")
    ] = None,
    broker: Annotated[
        Literal["tansu", "kafka"] | None,
        typer.Option("--broker", help="The broker to embed: Tansu, or Apache Kafka (needs Java and Maven)."),
    ] = None,
    clickhouse: Annotated[
        str | None,
        typer.Option("--clickhouse", help="Use this ClickHouse instead of the embedded one.", metavar="HOST:PORT"),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="At the end, draw the screen into this SVG file.", metavar="FILE")
    ] = None,
) -> None:
    """Run everything on this machine: broker, ClickHouse, collector, processor, notifier, sink."""
    from watchkeeper.commands.up import run

    arguments = {
        "data_dir": data_dir,
        "port_base": port_base,
        "kafka": {"bootstrap": kafka},
        "clickhouse": {"address": clickhouse},
        "embedded": {"broker": broker},
    }
    raise typer.Exit(run(arguments, config=config, for_s=for_s, screen=not no_screen, picture=picture))


def _role(name: "Role") -> Callable[[Path | None, Path | None], None]:
    def run(data_dir: DataDir = None, config: Config = None) -> None:
        from watchkeeper.commands.roles import RUN

        raise typer.Exit(RUN[name]({"data_dir": data_dir}, config))

    return run


_ROLES: Mapping["Role", str] = {
    "collect": "Run the collector: this machine's samples to Kafka.",
    "process": "Run a stream processor: windows, rules, alerts.",
    "sink": "Run the sink: rollups, events and alerts to ClickHouse.",
    "notify": "Run the notifier: alerts to people and other systems.",
    "serve": "Run the API: HTTP for everything that is known and taken in.",
}
for role, told in _ROLES.items():
    app.command(role, help=told)(_role(role))


@app.command()
def prepare(
    data_dir: DataDir = None,
    config: Config = None,
    first_key: Annotated[
        bool, typer.Option("--first-key", help="Make a key of the API and print it, if there is none.")
    ] = False,
) -> None:
    """Create tables and topics, and put back what a new embedded broker must know."""
    from watchkeeper.commands.prepare import run

    run({"data_dir": data_dir}, config, first_key=first_key)


@app.command()
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show processes, lag, newest rollup and firing alerts. Exit code: 0 healthy, 1 not, 2 nothing runs."""
    from watchkeeper.commands.status import run

    raise typer.Exit(run(data_dir, as_json=as_json))


@topics.command("list")
def topics_list(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the topics, with partitions and records."""
    from watchkeeper.commands.topics import show

    show({"data_dir": data_dir}, config, as_json=as_json)


@topics.command("create")
def topics_create(data_dir: DataDir = None, config: Config = None) -> None:
    """Create the topics that are missing."""
    from watchkeeper.commands.topics import create

    create({"data_dir": data_dir}, config)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="A statement; - reads it from standard input.", metavar="SQL")],
    output: Annotated[
        str | None,
        typer.Option("--format", help="Any output format of ClickHouse.", metavar="FORMAT", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Ask ClickHouse. Public views: watchkeeper.metrics_10s and others, see docs/."""
    from watchkeeper.commands.query import run

    run(sql, output, {"data_dir": data_dir}, config)


@app.command()
def emit(
    topic: Annotated[
        str | None, typer.Option("--topic", help="Topic of the records on standard input, one JSON object a line.")
    ] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Emit one sample of this metric.")] = None,
    value: Annotated[float | None, typer.Option("--value", help="Its value.", show_default=False)] = None,
    dimension: Annotated[
        list[str] | None, typer.Option("--dimension", help="Its dimensions; repeatable.", metavar="KEY=VALUE")
    ] = None,
    kind: Annotated[
        Literal["gauge", "delta", "cumulative"], typer.Option("--kind", help="How its values relate to each other.")
    ] = "gauge",
    source: Annotated[
        str | None, typer.Option("--source", help="Who emits; default: this machine.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Emit records as a producer would. Missing v, source, boot, seq, sent_ms and at_ms are filled in.

    A line that is no record of the topic is told with its number and left out; the others are sent. Exit code: 0 when
    all were, 1 otherwise.
    """
    from watchkeeper.commands.emit import run

    arguments = {"data_dir": data_dir, "source": source}
    sample = (metric, value, dimension or [], kind) if metric is not None else None
    raise typer.Exit(run(topic, sample, arguments, config))


@alerts.command("list")
def alerts_list(
    firing: Annotated[bool, typer.Option("--firing", help="Only those that fire now.")] = False,
    limit: Limit = 50,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List alerts, the newest first."""
    from watchkeeper.commands.alerts import show

    show({"data_dir": data_dir}, config, firing=firing, limit=limit, as_json=as_json)


@alerts.command("tail")
def alerts_tail(
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with what the topic still holds, not with now.")
    ] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Follow the topic `alerts`: one line for each change of an alert's state."""
    from watchkeeper.commands.alerts import follow

    follow({"data_dir": data_dir}, config, from_beginning=from_beginning, as_json=as_json)


@alerts.command("explain")
def alerts_explain(
    alert: Annotated[
        str, typer.Argument(help="The alert's fingerprint or its begin, or a rule: its newest alert.", metavar="ALERT")
    ],
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say why an alert was raised: what was compared, which dimensions are to blame, and when it happened before."""
    from watchkeeper.commands.explain import run

    run(alert, {"data_dir": data_dir}, config, as_json=as_json)


@alerts.command("ack")
def alerts_ack(
    alert: Annotated[
        str, typer.Argument(help="The alert's fingerprint or its begin, or a rule: its newest alert.", metavar="ALERT")
    ],
    assign: Annotated[str, typer.Option("--assign", help="Who takes care of it, if it is not you.")] = "",
    comment: Annotated[str, typer.Option("--comment", help="What others should know.", metavar="TEXT")] = "",
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Say that somebody takes care of an alert: nobody is reminded of it any more."""
    from watchkeeper.commands.acknowledge import run

    run(alert, {"data_dir": data_dir}, config, assign=assign, comment=comment)


@config.command("check")
def config_check(data_dir: DataDir = None, config: Config = None) -> None:
    """Say whether the settings can be used; list every fault."""
    from watchkeeper.commands.config import check

    check({"data_dir": data_dir}, config)


@config.command("show")
def config_show(data_dir: DataDir = None, config: Config = None) -> None:
    """Print all settings as TOML, each with its origin; secrets are hidden."""
    from watchkeeper.commands.config import show

    show({"data_dir": data_dir}, config)


for command in (audit, ledger):
    app.command()(command)
