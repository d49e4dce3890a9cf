"""Topics on the broker: create them, list them, wait for the broker, tell one incarnation of a topic from the next."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Set
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from connect.config import KafkaConfig
from connect.kafka import MAX_REQUEST_BYTES
from schemas.errors import BrokerUnavailable
from schemas.topics import Topic

_LOG = logging.getLogger(__name__)

REQUEST_TIMEOUT_MS = 10_000
RETRY_S = 0.1
LISTED_S = 10.0
REPLICAS = 3
"""One broker may fail then, and one more be under repair, without a record being lost or refused for long."""


@asynccontextmanager
async def client(config: KafkaConfig) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for questions about the cluster, connected.

    Raises:
        BrokerUnavailable: Whatever it fails with, or fails with inside.
    """
    admin = AIOKafkaAdminClient(
        bootstrap_servers=config.bootstrap.split(","),
        client_id=config.client_id,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        security_protocol=config.security_protocol,
        ssl_context=config.ssl_context(),
        sasl_mechanism=config.sasl_mechanism,
        sasl_plain_username=config.sasl_username or None,
        sasl_plain_password=config.sasl_password.get_secret_value() or None,
    )
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(f"Kafka at {config.bootstrap}: {error}") from error
    finally:
        await admin.close()


async def wait_until_ready(config: KafkaConfig, deadline_s: float) -> None:
    """Returns when the broker answers.

    Raises:
        BrokerUnavailable: When it did not in time.
    """
    refused: BrokerUnavailable | None = None
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                try:
                    async with client(config) as admin:
                        await admin.list_topics()
                        return
                except BrokerUnavailable as error:
                    refused = error
                await asyncio.sleep(RETRY_S)
    except TimeoutError:
        detail = f"Kafka at {config.bootstrap} did not answer within {deadline_s:g} s: {refused}"
        raise BrokerUnavailable(f"{detail}. Is it running, and is the address right?") from refused


async def create_topics(
    config: KafkaConfig,
    topics: Iterable[Topic],
    *,
    partitions: Mapping[str, int] | None = None,
) -> list[str]:
    """Creates the topics that are not there yet, on as many brokers as there are, at most `REPLICAS`; their names.

    A topic that is there keeps its partitions: more of them would send a source's records elsewhere than before.
    Returns when the broker lists them: a node of Apache Kafka learns a moment later what its controller has created.

    Raises:
        BrokerUnavailable: When it does not answer, or has not listed them after `LISTED_S`.
    """
    counts = partitions or {}
    created: list[str] = []
    there = await list_topics(config)
    missing = [topic for topic in topics if topic.name not in there]
    for topic in topics:
        wanted, has = counts.get(topic.name, topic.partitions), there.get(topic.name)
        if has is not None and has != wanted:
            _LOG.warning("Topic %s has %d partitions, not %d; it is kept", topic.name, has, wanted)
    async with client(config) as admin:
        replication = min(REPLICAS, len((await admin.describe_cluster())["brokers"]))
        for topic in missing:
            try:
                await admin.create_topics([_new(topic, counts.get(topic.name, topic.partitions), replication)])
            except TopicAlreadyExistsError:
                continue
            created.append(topic.name)
    await _listed(config, {topic.name for topic in missing})
    return created


async def _listed(config: KafkaConfig, names: Set[str]) -> None:
    try:
        async with asyncio.timeout(LISTED_S):
            while True:
                if names <= (await list_topics(config)).keys():
                    return
                await asyncio.sleep(RETRY_S)
    except TimeoutError as error:
        detail = f"Kafka at {config.bootstrap} has created topics and does not list them after {LISTED_S:g} s"
        raise BrokerUnavailable(detail) from error


def _new(topic: Topic, partitions: int, replication: int) -> NewTopic:
    configs = {"cleanup.policy": "compact"} if topic.compacted else {"retention.ms": str(topic.retention_ms)}
    configs["max.message.bytes"] = str(MAX_REQUEST_BYTES)
    if replication == REPLICAS:
        # What is acknowledged stands on two brokers.
        configs["min.insync.replicas"] = str(REPLICAS - 1)
    return NewTopic(topic.name, num_partitions=partitions, replication_factor=replication, topic_configs=configs)


async def list_topics(config: KafkaConfig) -> dict[str, int]:
    """Names and numbers of partitions, without the broker's own topics."""
    async with client(config) as admin:
        described = await admin.describe_topics()
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in described
        if not topic.get("is_internal") and not topic["topic"].startswith("__")
    }
