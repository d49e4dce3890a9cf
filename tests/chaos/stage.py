"""Where faults happen: an instance, and the brokers and proxies around it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from connect.config import KafkaConfig
from tests.chaos.proxy import FaultProxy
from tests.conftest import STOP_S, embedded_clickhouse, free_port
from tests.e2e.running import Running, running
from watchkeeper.embedded.apache_kafka.service import ApacheKafka, Ports

CLUSTER_ID = "watchkeeper-tests-0001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What faults can get hold of.

    Attributes:
        config: How the load and the comparison reach Kafka.
        nodes: Kafka's, where they are not the instance's own.
        proxies: By what they stand before: `kafka`, `clickhouse`.
    """

    instance: Running
    config: KafkaConfig
    nodes: tuple[ApacheKafka, ...] = ()
    proxies: Mapping[str, FaultProxy] = field(default_factory=dict)


Staged = Callable[[Path], AbstractContextManager[Stage]]


@contextmanager
def _embedded(broker: str, folder: Path) -> Iterator[Stage]:
    with running(folder / "data", folder / "up.log", "--broker", broker) as instance:
        address = instance.status()["addresses"]["kafka"]
        yield Stage(instance=instance, config=KafkaConfig(bootstrap=address, idempotent=broker == "kafka"))


embedded_tansu: Staged = partial(_embedded, "tansu")
embedded_kafka: Staged = partial(_embedded, "kafka")


@contextmanager
def cluster(folder: Path) -> Iterator[Stage]:
    """Three nodes of Apache Kafka, and an instance on them."""
    ports = [Ports(free_port(), free_port()) for _ in range(3)]
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
    bootstrap = ",".join(node.address for node in nodes)
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(node.stop, STOP_S)
            node.launch()
        for node in nodes:
            node.await_ready()
        instance = stack.enter_context(running(folder / "data", folder / "up.log", "--kafka", bootstrap))
        yield Stage(instance=instance, config=KafkaConfig(bootstrap=bootstrap), nodes=nodes)


@contextmanager
def proxied(folder: Path) -> Iterator[Stage]:
    """An instance that reaches Kafka and ClickHouse through proxies."""
    clickhouse = embedded_clickhouse(folder)
    ports = Ports(free_port(), free_port())
    with ExitStack() as stack:
        before_kafka = stack.enter_context(FaultProxy(ports.clients))
        before_clickhouse = stack.enter_context(FaultProxy(clickhouse.port))
        broker = ApacheKafka(ports, folder / "kafka", folder / "kafka.log", advertised=before_kafka.port)
        for service in (broker, clickhouse):
            stack.callback(service.stop, STOP_S)
            service.start()
        addresses = ("--kafka", f"127.0.0.1:{before_kafka.port}", "--clickhouse", f"127.0.0.1:{before_clickhouse.port}")
        instance = stack.enter_context(running(folder / "data", folder / "up.log", *addresses))
        yield Stage(
            instance=instance,
            config=KafkaConfig(bootstrap=broker.address),
            proxies={"kafka": before_kafka, "clickhouse": before_clickhouse},
        )
