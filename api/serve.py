"""`watchkeeper serve`: the HTTP API, until it is told to stop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import uvicorn

from api.app import application
from api.live import Live
from api.rates import Rates
from api.services import Services
from connect.clickhouse import Store
from connect.clock import now_ms
from connect.config import ClickHouseConfig, KafkaConfig
from connect.telemetry import Telemetry
from schemas.errors import BadSettings

_LOG = logging.getLogger(__name__)

QUERY_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """What it needs to know.

    Attributes:
        host: Address to listen at.
        port: Port; 0 lets the system choose.
        cert_file: Certificate chain (PEM); empty: HTTP without encryption.
        key_file: Its private key (PEM).
        processes: Where each process of the pipeline tells its status: `HOST:PORT`.
        version: Of the program.
        records_per_s: How many records a key may send each second; 0: any number.
        deadline_s: How long open requests may take when it stops.
    """

    kafka: KafkaConfig
    clickhouse: ClickHouseConfig
    host: str = "127.0.0.1"
    port: int = 0
    cert_file: str = ""
    key_file: str = ""
    processes: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    deadline_s: float = 2.0
    records_per_s: float = 0.0


async def serve(config: ServeConfig, telemetry: Telemetry, stop: asyncio.Event) -> None:
    """Answers requests until told to stop.

    Raises:
        BadSettings: The port is taken.
        BrokerUnavailable: Kafka is away at the start.
    """
    listening = _listen(config.host, config.port)
    services = Services(
        store=Store(replace(config.clickhouse, timeout_s=QUERY_TIMEOUT_S)),
        kafka=config.kafka,
        now_ms=now_ms,
        processes=config.processes,
        version=config.version,
        live=Live(config.kafka),
        rates=Rates(config.records_per_s),
    )
    server = _Server(
        uvicorn.Config(
            application(config.version, services), log_config=None, access_log=False, server_header=False,
            lifespan="off", timeout_graceful_shutdown=max(1, int(config.deadline_s)),
            ssl_certfile=config.cert_file or None, ssl_keyfile=config.key_file or None,
        )
    )  # fmt: skip
    ready = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(services.store.close)
        stack.callback(listening.close)
        following = await stack.enter_async_context(_beside(services.run(ready)))
        await _first(following, ready.wait())
        serving = await stack.enter_async_context(_beside(server.serve([listening])))
        port = int(listening.getsockname()[1])
        telemetry.show(lambda: {"healthy": server.started, "port": port, "clients": services.live.clients})
        _LOG.info("answering at http://%s:%d", config.host, port)
        await _first(following, serving, stop.wait())
        services.live.close()
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """Leaves signals to `watchkeeper.commands.roles`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise BadSettings(
            f"{host}:{port} cannot be listened at ({error.strerror}): choose another port with WATCHKEEPER_SERVE_PORT"
        ) from None


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _first(*awaited: Awaitable[object]) -> None:
    """Returns when one of them is done. Raises what ended it."""
    tasks = [asyncio.ensure_future(one) for one in awaited]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for one, task in zip(awaited, tasks, strict=True):
        if one is not task and not task.done():
            task.cancel()
    for task in done:
        task.result()
