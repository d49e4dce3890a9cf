"""What a record becomes in ClickHouse, without ClickHouse."""

from dataclasses import dataclass

from schemas.topics import ALERTS
from sinks.clickhouse.rows import tables
from tests.schemas.hostile import golden


@dataclass
class Got:
    """A record as a Kafka client gives it."""

    value: bytes | None
    topic: str = ALERTS.name
    partition: int = 0
    offset: int = 0
    timestamp: int = 0
    timestamp_type: int = 0
    key: bytes | None = None


def test_every_transition_has_a_row_and_an_annotation_of_late_data_neither_a_row_nor_a_dead_letter() -> None:
    lines = golden("alerts.v1")
    annotations = [line for line in lines if b'"amends":{' in line]
    assert annotations
    batch = tables()[ALERTS.name].read([Got(line) for line in lines], "e")
    assert (len(batch), batch.refused) == (len(lines) - len(annotations), [])
