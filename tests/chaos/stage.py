"""Where faults happen: an instance, and the brokers and proxies around it."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from connect.topic_ids import topic_epochs
from tests.chaos import crashing
from tests.chaos.load import Load
from tests.chaos.log import TOPIC, Log
from tests.chaos.oracle import LogRules
from tests.chaos.proxy import FaultProxy
from tests.conftest import STOP_S, embedded_clickhouse
from tests.e2e.running import Running, eventually, running
from tests.ports import UP_PORTS, free_ports
from watchkeeper.embedded.apache_kafka.service import ApacheKafka, Ports
from watchkeeper.instance import NotRunning, ProcessEntry, read
from watchkeeper.supervisor import Condition

CLUSTER_ID = "watchkeeper-tests-0001"
SHORT_SEGMENT_MS = 5_000
METRICS = {"collect": 2, "process": 3, "sink": 4}
"""Of each role, its port for /metrics and /status, from the first port of the instance on."""


@dataclass(kw_only=True)
class Stage:
    """What faults can get hold of.

    Attributes:
        launch: Starts the instance, and again after it was ended.
        config: How the load and the comparison reach Kafka.
        store: How the comparison reaches ClickHouse.
        rules: By which the instance folds.
        nodes: Kafka's, where they are not the instance's own.
        proxies: By what they stand before: `kafka`, `clickhouse`.
        points: Folder that arms the points of `tests.chaos.crashing`.
        pace: How long faults last, beside what they last in `make chaos`.
        notes: What a fault has to tell beside what was lost and double.
    """

    launch: Callable[[], AbstractContextManager[Running]]
    port_base: int
    config: KafkaConfig
    store: Store
    rules: LogRules = field(default_factory=LogRules)
    nodes: Sequence[ApacheKafka] = ()
    proxies: Mapping[str, FaultProxy] = field(default_factory=dict)
    points: Path | None = None
    pace: float = 1.0
    notes: list[str] = field(default_factory=list)
    load: Load | None = None
    log: Log | None = None
    _lives: ExitStack = field(default_factory=ExitStack)
    _instance: Running | None = None

    @property
    def instance(self) -> Running:
        """The instance as it runs now."""
        assert self._instance is not None
        return self._instance

    def begin(self) -> None:
        """Starts the instance."""
        self._instance = self._lives.enter_context(self.launch())

    def end(self) -> None:
        """Stops it in order."""
        assert self.instance.stop() == 0, self.instance.tail()

    def close(self) -> None:
        """Ends what is left."""
        self._lives.close()
        self.store.close()

    def follow(self) -> Log:
        """The log up to now."""
        if self.log is None:
            epoch = str(self.instance.status().get("epoch") or asyncio.run(self._epoch()))
            self.log = Log(self.config, LogRules(epoch=epoch, segment_ms=self.rules.segment_ms))
        asyncio.run(self.log.follow())
        return self.log

    async def _epoch(self) -> str:
        return (await topic_epochs(self.config, [TOPIC]))[TOPIC]

    def wait(self, numbers: random.Random, low_s: float, high_s: float) -> None:
        """A part of a fault, or between two: time that no condition would bring to an end."""
        end_s = time.monotonic() + numbers.uniform(low_s, high_s) * self.pace
        while (left_s := end_s - time.monotonic()) > 0:
            time.sleep(left_s)

    def process(self, name: str) -> ProcessEntry | None:
        """What the supervisor knows of a process; nothing while the instance is away."""
        with suppress(NotRunning):
            return read(self.instance.data_dir).processes.get(name)
        return None

    def pid_of(self, name: str) -> int:
        """Of a process that runs, or that will soon."""
        return eventually(f"{name} runs", partial(self.running_pid, name), within_s=120)

    def running_pid(self, name: str) -> int | None:
        """Of a process that runs."""
        process = self.process(name)
        if process is None or process.pid is None or process.state != Condition.RUNNING:
            return None
        return process.pid if psutil.pid_exists(process.pid) else None  # the supervisor writes some time later

    def figures(self, role: str) -> dict[str, Any]:
        """What a role answers at /status; nothing while it is away."""
        with suppress(OSError, json.JSONDecodeError):
            found: dict[str, Any] = json.loads(self._ask(role, "status"))
            return found
        return {}

    def works(self, role: str) -> bool:
        """Whether a role is healthy and has partitions."""
        figures = self.figures(role)
        return bool(figures.get("healthy") and figures.get("assigned"))

    def metric(self, role: str, name: str, **labels: str) -> float:
        """Sum of a role's metric over the samples with these labels."""
        families = text_string_to_metric_families(self._ask(role, "metrics"))
        samples = [one for family in families for one in family.samples]
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    def _ask(self, role: str, path: str) -> str:
        url = f"http://127.0.0.1:{self.port_base + METRICS[role]}/{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                text: str = answer.read().decode()
        except urllib.error.HTTPError as error:  # 503 while it is not healthy
            text = error.read().decode()
        return text

    @contextmanager
    def extra(self, role: str) -> Iterator[subprocess.Popen[bytes]]:
        """One more worker of a role, beside that of the instance; stopped at the end."""
        worker = self.worker(role)
        try:
            yield worker
        finally:
            worker.terminate()
            worker.wait(30)

    def worker(self, role: str, *, standalone: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """The same, to be stopped by the caller.

        Args:
            standalone: Variables of one that runs without the instance, in its place and on its ports.
        """
        own = {f"WATCHKEEPER_{role.upper()}_METRICS_PORT": "0"}
        if standalone is not None:
            own = {**self._addresses(), crashing.MUTE: "on", **standalone}
        module = "watchkeeper" if self.points is None else "tests.chaos.crashing"
        with (self.instance.data_dir / "logs" / f"extra-{role}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, role, "--data-dir", str(self.instance.data_dir)],
                env=crashing.with_root({**os.environ, **variables(self.points, self.rules), **own}),
                stdout=log,
                stderr=log,
            )

    def _addresses(self) -> dict[str, str]:
        """Of what outlives the instance."""
        ports = {name: proxy.port for name, proxy in self.proxies.items()}
        return {
            "WATCHKEEPER_PORT_BASE": str(self.port_base),
            "WATCHKEEPER_KAFKA_BOOTSTRAP": f"127.0.0.1:{ports['kafka']}",
            "WATCHKEEPER_CLICKHOUSE_ADDRESS": f"127.0.0.1:{ports['clickhouse']}",
        }


def variables(points: Path | None, rules: LogRules) -> dict[str, str]:
    """Environment of processes of an instance."""
    armed = {} if points is None else {crashing.FOLDER: str(points)}
    return {"WATCHKEEPER_PROCESS_SEGMENT_MS": str(rules.segment_ms), **armed}


Staged = Callable[[Path, int], AbstractContextManager[Stage]]
"""Takes a folder and a seed."""


@contextmanager
def _on_stage(stage: Stage) -> Iterator[Stage]:
    try:
        stage.begin()
        yield stage
        stage.end()
    finally:
        stage.close()


@contextmanager
def _embedded(broker: str, folder: Path, _: int) -> Iterator[Stage]:
    base = free_ports(UP_PORTS)
    stage = Stage(
        launch=lambda: running(folder / "data", folder / "up.log", "--broker", broker, port_base=base),
        port_base=base,
        config=KafkaConfig(bootstrap=f"127.0.0.1:{base}", idempotent=broker == "kafka"),
        store=Store(ClickHouseConfig(port=base + 1)),
    )
    with _on_stage(stage):
        yield stage


embedded_tansu: Staged = partial(_embedded, "tansu")
embedded_kafka: Staged = partial(_embedded, "kafka")


@contextmanager
def cluster(folder: Path, _: int) -> Iterator[Stage]:
    """Three nodes of Apache Kafka, and an instance on them."""
    ports = [Ports(free_ports(), free_ports()) for _ in range(3)]
    nodes = tuple(
        ApacheKafka(
            one,
            folder / f"kafka-{number}",
            folder / f"kafka-{number}.log",
            cluster=ports,
            number=number,
            cluster_id=CLUSTER_ID,
        )
        for number, one in enumerate(ports, 1)
    )
    base, bootstrap = free_ports(UP_PORTS), ",".join(node.address for node in nodes)
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(node.stop, STOP_S)
            node.launch()
        for node in nodes:
            node.await_ready()
        stage = Stage(
            launch=lambda: running(folder / "data", folder / "up.log", "--kafka", bootstrap, port_base=base),
            port_base=base,
            config=KafkaConfig(bootstrap=bootstrap),
            store=Store(ClickHouseConfig(port=base + 1)),
            nodes=nodes,
        )
        yield stack.enter_context(_on_stage(stage))


@contextmanager
def served(folder: Path, seed: int) -> Iterator[Stage]:
    """An instance with points at which it ends; it reaches Kafka and ClickHouse, which outlive it, through proxies."""
    (folder / "store").mkdir()
    clickhouse = embedded_clickhouse(folder / "store")
    ports, base, points = Ports(free_ports(), free_ports()), free_ports(UP_PORTS), folder / "points"
    rules = LogRules(segment_ms=SHORT_SEGMENT_MS)
    points.mkdir()
    with ExitStack() as stack:
        before_kafka = stack.enter_context(FaultProxy(ports.clients, seed=seed))
        before_clickhouse = stack.enter_context(FaultProxy(clickhouse.port, seed=seed))
        broker = ApacheKafka(ports, folder / "kafka", folder / "kafka.log", advertised=before_kafka.port)
        for service in (broker, clickhouse):
            stack.callback(service.stop, STOP_S)
            service.start()
        addresses = ("--kafka", f"127.0.0.1:{before_kafka.port}", "--clickhouse", f"127.0.0.1:{before_clickhouse.port}")
        stage = Stage(
            launch=lambda: running(
                folder / "data",
                folder / "up.log",
                *addresses,
                port_base=base,
                module="tests.chaos.crashing",
                env=crashing.with_root({**os.environ, **variables(points, rules)}),
            ),
            port_base=base,
            config=KafkaConfig(bootstrap=broker.address),
            store=Store(ClickHouseConfig(port=clickhouse.port)),
            rules=rules,
            proxies={"kafka": before_kafka, "clickhouse": before_clickhouse},
            points=points,
        )
        yield stack.enter_context(_on_stage(stage))
