"""Kafka clients with the options that this project stands on, set in one place."""

from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from connect.config import KafkaConfig

__all__ = [
    "COMMIT_REFUSED",
    "Consumer",
    "KafkaError",
    "Producer",
    "RebalanceListener",
    "TopicPartition",
    "consumer",
    "producer",
]

Consumer = AIOKafkaConsumer
Producer = AIOKafkaProducer
RebalanceListener = ConsumerRebalanceListener
COMMIT_REFUSED = (CommitFailedError, IllegalStateError)
"""A commit for partitions that are not ours any more: their new owner reads from the commit before."""

REQUEST_TIMEOUT_MS = 10_000
LINGER_MS = 10
MAX_BATCH_BYTES = 256 * 1024
MAX_REQUEST_BYTES = 8 * 1024 * 1024
MAX_PARTITION_FETCH_BYTES = 1024 * 1024


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
