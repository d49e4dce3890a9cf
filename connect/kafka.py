"""Kafka clients with the options that this project stands on, set in one place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.partitioner import murmur2

from connect.config import KafkaConfig
from schemas.errors import BrokerUnavailable

__all__ = [
    "COMMIT_REFUSED",
    "STAMPED_BY_BROKER",
    "Consumer",
    "KafkaError",
    "Producer",
    "RebalanceListener",
    "TopicPartition",
    "close",
    "connected",
    "consumer",
    "leave",
    "partition_of",
    "producer",
    "start",
]

Consumer = AIOKafkaConsumer
Producer = AIOKafkaProducer
RebalanceListener = ConsumerRebalanceListener
COMMIT_REFUSED = (CommitFailedError, IllegalStateError)
"""A commit for partitions that are not ours any more: their new owner reads from the commit before."""

STAMPED_BY_BROKER = 1
"""`timestamp_type` of records that carry the time of their append."""

REQUEST_TIMEOUT_MS = 10_000
LINGER_MS = 10
MAX_BATCH_BYTES = 256 * 1024
MAX_REQUEST_BYTES = 8 * 1024 * 1024
MAX_PARTITION_FETCH_BYTES = 1024 * 1024
METADATA_MAX_AGE_MS = 10_000
"""A broker that has just started may not tell all topics yet: a group that is formed then is assigned nothing of them,
until one of its members asks again."""


def producer(config: KafkaConfig, **options: Any) -> AIOKafkaProducer:
    """A producer that acknowledges what all replicas have. Start it where the event loop runs."""
    return AIOKafkaProducer(
        **{
            **_common(config),
            "acks": "all",
            "enable_idempotence": config.idempotent,
            "compression_type": config.compression,
            "linger_ms": LINGER_MS,
            "max_batch_size": MAX_BATCH_BYTES,
            "max_request_size": MAX_REQUEST_BYTES,
            **options,
        }
    )


async def start(client: AIOKafkaConsumer, config: KafkaConfig) -> None:
    """Connects a consumer, or closes it.

    Raises:
        BrokerUnavailable: Kafka does not answer.
    """
    try:
        await client.start()
    except (KafkaError, OSError) as error:
        await leave(client)
        raise BrokerUnavailable(f"Kafka at {config.bootstrap}: {error}") from error


async def leave(client: AIOKafkaConsumer) -> None:
    """Disconnects a consumer, which leaves its group.

    Where it waits to ask again, because Kafka is gone, the client's own `stop` takes the end of what waits for ours.
    """
    try:
        await client.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        await client._client.close()


CLOSE_S = 2.0
"""What is on its way when a producer is closed has so long to be acknowledged."""

ABORT_S = 1.0
ABORT_STEPS = 20


@asynccontextmanager
async def connected(config: KafkaConfig) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that is connected, and closed at the end."""
    client = producer(config)
    try:
        await client.start()
        yield client
    finally:
        await close(client)


async def close(client: AIOKafkaProducer, *, within_s: float = CLOSE_S) -> None:
    """Sends what is still buffered as far as there is time, and disconnects. What is left then is never sent.

    The client's own `stop` waits for the broker, and leaves everything running when it is cancelled: it would go on to
    send what it holds, for ever where it is idempotent, behind what was sent again.
    """
    try:
        async with asyncio.timeout(max(0.0, within_s)):
            await client.stop()
    except (TimeoutError, KafkaError, OSError):
        pass
    finally:
        await _abort(client)


async def _abort(client: AIOKafkaProducer) -> None:
    """Ends the client's tasks. Reaches into the studied version of it; holds what `close` says in any other."""
    sending = client._sender.sender_task
    if sending is not None and not sending.done():
        # It begins nothing any more, but waits for what is on its way: that fails with the connection, and then waits
        # for news of the cluster, which nobody asks for any more.
        sending.cancel()
        await client.client.close()
        for _ in range(ABORT_STEPS):
            news, client.client._md_update_fut = client.client._md_update_fut, None
            if news is not None and not news.done():
                news.set_result(False)
            if (await asyncio.wait([sending], timeout=ABORT_S / ABORT_STEPS))[0]:
                break
    buffered = client._message_accumulator
    batches = {*chain.from_iterable(buffered._batches.values()), *buffered._pending_batches}
    # A batch that was put back leaves this set once more when it fails, though it is no longer in it.
    buffered._pending_batches.update(batches)
    buffered.fail_all(KafkaError("the producer was closed"))
    for batch in batches:
        # Nobody waits for room in it any more; asyncio would complain of what that failed with.
        if batch._drain_waiter.done() and not batch._drain_waiter.cancelled():
            batch._drain_waiter.exception()
    await client.client.close()


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that a key chooses among so many, for Java's clients as for ours."""
    return int((murmur2(key) & 0x7FFF_FFFF) % partitions)


def consumer(config: KafkaConfig, *topics: str, group_id: str | None = None, **options: Any) -> AIOKafkaConsumer:
    """A consumer that commits nothing by itself, and begins at the first record where it has no position."""
    return AIOKafkaConsumer(
        *topics,
        **{
            **_common(config),
            "group_id": group_id,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "max_partition_fetch_bytes": MAX_PARTITION_FETCH_BYTES,
            "metadata_max_age_ms": METADATA_MAX_AGE_MS,
            **options,
        },
    )


def _common(config: KafkaConfig) -> dict[str, Any]:
    common: dict[str, Any] = {
        "bootstrap_servers": config.bootstrap.split(","),
        "client_id": config.client_id,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "retry_backoff_ms": 100,
        "security_protocol": config.security_protocol,
        "ssl_context": config.ssl_context(),
    }
    if config.security_protocol.startswith("SASL"):
        common["sasl_mechanism"] = config.sasl_mechanism
        common["sasl_plain_username"] = config.sasl_username
        common["sasl_plain_password"] = config.sasl_password.get_secret_value()
    return common
