"""`watchkeeper alerts ack`: somebody takes care of an alert."""

import asyncio
from pathlib import Path

from pydantic import ValidationError

from connect.clickhouse import Store
from schemas.control import Acknowledgement
from schemas.errors import BadSettings
from sinks.clickhouse.history import newest_raise
from watchkeeper import addresses, control
from watchkeeper.sources import Nested, load

_VERSION = """
SELECT max(version) FROM watchkeeper.alert_acknowledgements WHERE alert = {alert:String}
"""


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
    ((version,),) = store.rows(_VERSION, {"alert": raised.alert})
    try:
        record = Acknowledgement(
            id=f"acknowledgement/{raised.alert}", version=version + 1, at_ms=control.now_ms(), by=control.whoami(),
            episode_ms=raised.episode_ms, assigned_to=assign, comment=comment,
        )  # fmt: skip
    except ValidationError as error:
        raise BadSettings("; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())) from None
    asyncio.run(control.publish(addresses.kafka_config(loaded), [record]))
    print(f"{assign or record.by} takes care of {raised.alert}: {raised.summary}")
