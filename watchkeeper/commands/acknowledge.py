"""`watchkeeper alerts ack`: somebody takes care of an alert."""

import asyncio
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from connect.clickhouse import Store
from connect.clock import now_ms
from connect.config import KafkaConfig
from operations import control
from schemas.control import Acknowledgement
from schemas.errors import BadSettings, faults
from sinks.clickhouse.history import newest_raise
from watchkeeper import addresses
from watchkeeper.sources import Nested, load
from watchkeeper.whoami import whoami
from watchkeeper.words import plain


def run(alert: str, arguments: Nested, config: Path | None, *, assign: str, comment: str) -> None:
    """Acknowledges the present episode of an alert.

    Raises:
        BadSettings: There is no such alert.
        BrokerUnavailable: Kafka is away. StoreUnavailable: ClickHouse is.
    """
    loaded = load(arguments, config=config)
    store = Store(addresses.clickhouse_config(loaded))
    raised = newest_raise(store, alert)
    if raised is None:
        raise BadSettings(f"no alert was raised that is called {alert}: `watchkeeper alerts list --json` tells them")
    kafka = addresses.kafka_config(loaded)
    id_ = f"acknowledgement/{raised.alert}"
    version = asyncio.run(_newest(kafka, id_))
    try:
        record = Acknowledgement(
            id=id_, version=version + 1, at_ms=now_ms(), by=whoami(),
            episode_ms=raised.episode_ms, assigned_to=assign, comment=comment,
        )  # fmt: skip
    except ValidationError as error:
        raise BadSettings(faults(error)) from None
    asyncio.run(control.publish(kafka, [record]))
    print(f"{assign or record.by} takes care of {raised.alert}: {plain(raised.summary)}")


async def _newest(kafka: KafkaConfig, id_: str) -> int:
    """The newest version of a record of `control`; 0: there is none."""
    newest = 0
    async for value in control.values(kafka):
        if value is not None and id_.encode() in value:
            with suppress(ValidationError):
                newest = max(newest, Acknowledgement.model_validate_json(value).version)
    return newest
