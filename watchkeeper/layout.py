"""What `watchkeeper up` starts and where: addresses, ports, programs, environments, and how to tell who answers."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from connect.asking import Endpoint, get, status_of
from schemas.topics import TOPICS
from watchkeeper import addresses
from watchkeeper.embedded.apache_kafka.service import ApacheKafka, Ports
from watchkeeper.embedded.broker import EmbeddedBroker
from watchkeeper.embedded.clickhouse import EmbeddedClickHouse
from watchkeeper.embedded.gate import Gate
from watchkeeper.instance import CLICKHOUSE, KAFKA
from watchkeeper.sections import NotifySettings, ProcessSettings, SinkSettings
from watchkeeper.settings import ENV_PREFIX, Settings
from watchkeeper.sources import environment
from watchkeeper.supervisor import Command

BROKER = "broker"
EMBEDDED_SESSION_S = 6.0
EMBEDDED_EARLY_MS = 5_000
ROLES = ("process", "notify", "sink", "serve", "collect")
"""In the order of their start."""

READERS = frozenset(f"watchkeeper-{name}" for name in ("prepare", "process", "sink", "notify"))
"""Ids of our Kafka clients that work while others wait for a new broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where everything of an instance is.

    Attributes:
        settings: Of `up` itself; an address that they name is that of a server which exists already.
    """

    settings: Settings

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.settings.data_dir

    @property
    def embedded(self) -> tuple[str, ...]:
        """Which of `kafka` and `clickhouse` are started here."""
        kafka, clickhouse = self.settings.kafka.bootstrap, self.settings.clickhouse.address
        return (*(() if kafka else (KAFKA,)), *(() if clickhouse else (CLICKHOUSE,)))

    @property
    def forgetful(self) -> bool:
        """Whether the broker keeps nothing when it ends."""
        return KAFKA in self.embedded and self.settings.embedded.broker == "tansu"

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return self.settings.kafka.bootstrap or f"127.0.0.1:{self.settings.port_base}"

    @property
    def clickhouse(self) -> str:
        """HOST:PORT of ClickHouse's HTTP interface."""
        return self.settings.clickhouse.address or f"127.0.0.1:{self.settings.port_base + 1}"

    @property
    def endpoint(self) -> Endpoint:
        """How to ask ClickHouse."""
        return addresses.endpoint(addresses.clickhouse_at(self.settings, self.clickhouse))

    @property
    def roles(self) -> tuple[str, ...]:
        """Our processes, in the order of their start."""
        return ROLES

    @property
    def ports(self) -> Mapping[str, int]:
        """Every port that is opened here, by what opens it."""
        mine = {"the broker": self.settings.port_base} if KAFKA in self.embedded else {}
        if KAFKA in self.embedded:
            mine["the broker's other side"] = self._behind
        if CLICKHOUSE in self.embedded:
            mine["ClickHouse"] = self.settings.port_base + 1
        mine["the API"] = self.settings.api_port
        return mine | {f"the metrics of {role}": self.settings.metrics_port(role) for role in self.roles}

    @property
    def api(self) -> str:
        """HOST:PORT of the API."""
        return f"{self.settings.serve.host}:{self.settings.api_port}"

    def metrics(self, name: str) -> str:
        """HOST:PORT of a role's /metrics and /status; empty of the broker and of ClickHouse."""
        return f"127.0.0.1:{self.settings.metrics_port(name)}" if name in ROLES else ""

    @property
    def _behind(self) -> int:
        """The port of Apache Kafka's controller; with Tansu, which a gate stands before, that of the broker itself."""
        return self.settings.port_base + 5

    def gate(self) -> Gate:
        """What stands before a broker that is replaced now and then."""
        return Gate(self.settings.port_base, self._behind, READERS)

    def broker(self) -> Command:
        """The broker of this instance.

        Raises:
            BadSettings: Its program is missing.
        """
        named = self.settings.embedded.broker_binary
        service: EmbeddedBroker | ApacheKafka = (
            EmbeddedBroker(
                self._behind,
                self._log(BROKER),
                program=Path(named).expanduser() if named else None,
                advertised=self.settings.port_base,
            )
            if self.forgetful
            else ApacheKafka(Ports(self.settings.port_base, self._behind), self.folder / "kafka", self._log(BROKER))
        )
        return self._command(BROKER, tuple(service.command()), _inherited())

    def clickhouse_server(self) -> Command:
        """The embedded ClickHouse."""
        service = EmbeddedClickHouse(self.folder / "clickhouse", self.settings.port_base + 1, self._log(CLICKHOUSE))
        return self._command(CLICKHOUSE, tuple(service.command()), _inherited())

    def role(self, name: str, epoch: str, *options: str) -> Command:
        """One of our own subcommands.

        Args:
            name: Name of the subcommand.
            epoch: Incarnation of the topics.
            options: Of the subcommand.
        """
        program = (sys.executable, "-m", "watchkeeper", name, *options)
        return self._command(name, program, _inherited() | environment(self._settings(epoch)))

    def _command(self, name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> Command:
        return Command(name=name, argv=argv, env=env, log=self._log(name))

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _settings(self, epoch: str) -> Settings:
        """What the children are told."""
        ours, forgets = self.settings, self.forgetful
        kafka: dict[str, Any] = {"bootstrap": self.kafka, "idempotent": ours.kafka.idempotent and not forgets}
        if forgets:
            # There is one worker, and each partition's ticks stay in the broker's memory.
            kafka["partitions"] = {topic.name: 1 for topic in TOPICS} | ours.kafka.partitions
        return ours.model_copy(
            update={
                "epoch": epoch,
                "kafka": ours.kafka.model_copy(update=kafka),
                "clickhouse": ours.clickhouse.model_copy(update={"address": self.clickhouse}),
                "process": ours.process.model_copy(update=_frugal(ours.process) if forgets else {}),
                "sink": ours.sink.model_copy(update=_hasty(ours.sink) if forgets else {}),
                "notify": ours.notify.model_copy(update=_hasty(ours.notify) if forgets else {}),
            }
        )

    async def answers(self, name: str) -> bool:
        """Whether a process does its work."""
        if name in ROLES:
            return bool((await status_of(self.metrics(name)) or {}).get("healthy"))
        if name == CLICKHOUSE:
            return await _pings(self.endpoint)
        return await _listens(self._behind if self.forgetful else self.settings.port_base)


def _hasty(section: ProcessSettings | SinkSettings | NotifySettings) -> dict[str, Any]:
    """What the embedded broker asks for: it keeps nothing, and a join takes it half of the session's timeout."""
    return {"drain": True, "session_timeout_s": min(section.session_timeout_s, EMBEDDED_SESSION_S)}


def _frugal(section: ProcessSettings) -> dict[str, Any]:
    """Each early row stays in the broker's memory: fewer of them, unless it is settled how often they come."""
    early = {} if "early_ms" in section.model_fields_set else {"early_ms": EMBEDDED_EARLY_MS}
    return {**_hasty(section), **early}


async def _pings(clickhouse: Endpoint) -> bool:
    try:
        status, _ = await get(clickhouse.host, clickhouse.port, "/ping", timeout_s=1.0)
    except (OSError, TimeoutError, ValueError):
        return False
    return status == 200


async def _listens(port: int) -> bool:
    import asyncio

    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _inherited() -> dict[str, str]:
    """Our environment without our settings: children get these whole, from what we have read."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    # `python -m` would look for our packages in the present folder first, and find a stranger's `agents` there.
    kept["PYTHONSAFEPATH"] = "1"
    try:
        distribution("watchkeeper")
    except PackageNotFoundError:
        # Run from the source tree.
        root = str(Path(__file__).resolve().parent.parent)
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (root, kept.get("PYTHONPATH"))))
    return kept
