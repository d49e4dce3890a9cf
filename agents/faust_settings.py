"""What Faust must be told so that it neither loses nor hangs. Each setting has its reason."""

from collections.abc import Mapping
from typing import Any

from connect.kafka import METADATA_MAX_AGE_MS

SETTINGS: Mapping[str, Any] = {
    # The default restarts an agent after an exception and goes on with the next batch: the failed one would be lost.
    "agent_supervisor": "mode.CrashingSupervisor",
    # Nothing waits for acknowledgements that batches never give.
    "stream_wait_empty": False,
    "table_standby_replicas": 0,
    "topic_allow_declare": False,
    "topic_disable_leader": True,
    # It would bind all addresses, without authentication.
    "web_enabled": False,
    "consumer_auto_offset_reset": "earliest",
    "consumer_metadata_max_age_ms": METADATA_MAX_AGE_MS,
    # Batches of all partitions together.
    "stream_buffer_maxsize": 16,
    # Of each partition: a fetch is handed over as a whole.
    "consumer_max_fetch_size": 1_048_576,
    # It must never fire: aiokafka would leave the group and wait for a fetch, Faust would wait for the group to fetch.
    "broker_max_poll_interval": 2_000_000.0,
    "producer_request_timeout": 30.0,
    "store": "memory://",
}
