"""`watchkeeper collect | process | sink | notify | serve`: one role in the foreground, until SIGINT or SIGTERM."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from connect.telemetry import Telemetry
from engine.fold_config import FoldConfig
from schemas.errors import PermanentError
from watchkeeper import addresses, logs
from watchkeeper.settings import Settings
from watchkeeper.sources import Loaded, Nested, load, variable

Role = Literal["collect", "process", "sink", "notify", "serve"]


def run_collect(arguments: Nested, config: Path | None) -> int:
    """Collects until told to stop; its exit code."""
    from collectors.run import CollectConfig, collect

    loaded = _begin("collect", arguments, config)
    settings = loaded.settings
    chosen = CollectConfig(
        kafka=addresses.kafka_config(loaded, client_id="watchkeeper-collect"),
        source=settings.source,
        spool_dir=settings.data_dir / "spool",
        **_own(settings, "collect"),
    )
    return _until_stopped("collect", settings, lambda telemetry, stop: collect(chosen, telemetry, stop))


def run_process(arguments: Nested, config: Path | None) -> int:
    """Processes until told to stop; its exit code."""
    from agents.worker import ProcessConfig, process

    loaded = _begin("process", arguments, config)
    chosen = ProcessConfig(
        kafka=addresses.kafka_config(loaded, client_id="watchkeeper-process"),
        source=loaded.settings.source,
        epoch=addresses.epoch(loaded),
        **_own(loaded.settings, "process"),
    )
    with _telemetry("process", loaded.settings) as telemetry:
        return process(chosen, telemetry)


def run_sink(arguments: Nested, config: Path | None) -> int:
    """Writes to ClickHouse until told to stop; its exit code."""
    from sinks.clickhouse.sink import SinkConfig, sink

    loaded = _begin("sink", arguments, config)
    chosen = SinkConfig(
        kafka=addresses.kafka_config(loaded, client_id="watchkeeper-sink"),
        clickhouse=addresses.clickhouse_config(loaded),
        epoch=addresses.epoch(loaded),
        log=fold_rules(loaded.settings),
        **_own(loaded.settings, "sink"),
    )
    return _until_stopped("sink", loaded.settings, lambda telemetry, stop: sink(chosen, telemetry, stop))


def run_notify(arguments: Nested, config: Path | None) -> int:
    """Tells of alerts until told to stop; its exit code."""
    from sinks.notify.notifier import NotifyConfig, notify
    from watchkeeper.notify_file import load_notify

    loaded = _begin("notify", arguments, config)
    own = _own(loaded.settings, "notify")
    file = own.pop("file")
    chosen = NotifyConfig(
        kafka=addresses.kafka_config(loaded, client_id="watchkeeper-notify"),
        file=load_notify(Path(file).expanduser()) if file else None,
        clickhouse=addresses.clickhouse_if_there(loaded),
        **own,
    )
    return _until_stopped("notify", loaded.settings, lambda telemetry, stop: notify(chosen, telemetry, stop))


def run_serve(arguments: Nested, config: Path | None) -> int:
    """Answers HTTP until told to stop; its exit code."""
    from api.serve import ServeConfig, serve
    from watchkeeper.version import version

    loaded = _begin("serve", arguments, config)
    settings = loaded.settings
    chosen = ServeConfig(
        kafka=addresses.kafka_config(loaded, client_id="watchkeeper-serve"),
        clickhouse=addresses.clickhouse_config(loaded),
        host=settings.serve.host,
        port=settings.api_port,
        cert_file=settings.serve.cert_file,
        key_file=settings.serve.key_file,
        deadline_s=settings.serve.deadline_s,
        records_per_s=settings.serve.records_per_s,
        processes={role: f"127.0.0.1:{settings.metrics_port(role)}" for role in RUN if role != "serve"},
        version=version(),
    )
    return _until_stopped("serve", settings, lambda telemetry, stop: serve(chosen, telemetry, stop))


def fold_rules(settings: Settings) -> FoldConfig:
    """What the workers fold every input partition by."""
    process = settings.process
    return FoldConfig(
        lateness_ms=process.lateness_ms,
        segment_ms=process.segment_ms,
        horizon_segments=process.horizon_segments,
        skew_bound_ms=process.skew_bound_ms,
    )


def _begin(role: Role, arguments: Nested, config: Path | None) -> Loaded:
    loaded = load(arguments, config=config)
    logs.configure(role, level=loaded.settings.log.level, style=loaded.settings.log.format)
    return loaded


def _own(settings: Settings, role: Role) -> dict[str, Any]:
    """Settings of the role's own table: they bear the names that its config gives them."""
    own: dict[str, Any] = getattr(settings, role).model_dump(exclude={"metrics_port"})
    return own


@contextmanager
def _telemetry(role: Role, settings: Settings) -> Iterator[Telemetry]:
    port = settings.metrics_port(role)
    with ExitStack() as stack:
        try:
            telemetry = stack.enter_context(Telemetry(role, port=port, host=settings.metrics_host))
        except OSError as error:
            name = variable((role, "metrics_port"))
            raise PermanentError(
                f"port {port} for the metrics of {role} cannot be used ({error.strerror}): choose another with {name}"
            ) from None
        yield telemetry


def _until_stopped(
    role: Role, settings: Settings, work: Callable[[Telemetry, asyncio.Event], Coroutine[Any, Any, None]]
) -> int:
    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        with _telemetry(role, settings) as telemetry:
            await work(telemetry, stop)

    asyncio.run(run())
    return 0


RUN: Mapping[Role, Callable[[Nested, Path | None], int]] = {
    "collect": run_collect,
    "process": run_process,
    "sink": run_sink,
    "notify": run_notify,
    "serve": run_serve,
}
"""What runs each role, given settings of the command line and the settings file that it names."""
