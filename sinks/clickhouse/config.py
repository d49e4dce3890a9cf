"""Settings of the `sink` role."""

from dataclasses import dataclass, field

from connect.config import ClickHouseConfig, KafkaConfig
from engine.fold_config import FoldConfig
from sinks.clickhouse.migrate import Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig:
    """What the sink needs to know.

    Attributes:
        epoch: Incarnation of the topics; it stands beside raw rows, and tells states of alerts apart. Empty: each
            topic's own id is asked from Kafka.
        group: Consumer group. All sinks into one ClickHouse share it.
        session_timeout_s: A sink that was silent for so long has lost its partitions.
        prompt_s: How long a rollup row or an alert waits for company before it is inserted.
        patient_s: The same of raw records, which are many.
        minutes_s: How often the touched minutes are computed anew.
        tiers_s: How often hours and days are; a crash reads so much of `metrics.rollups` again.
        drain: On stop, first read every topic to its end, since the broker keeps nothing.
        deadline_s: How long stopping may take.
        audit_every_s: How often is looked for hours to audit; 0: never.
        audit_grace_s: How long after its end an hour is left alone.
        audit_period_s: Length of what is audited together: an hour, or fewer whole minutes.
        log: What the workers fold by.
    """

    kafka: KafkaConfig
    clickhouse: ClickHouseConfig
    epoch: str = ""
    group: str = "watchkeeper-sink"
    session_timeout_s: float = 6.0
    prompt_s: float = 0.2
    patient_s: float = 1.0
    minutes_s: float = 10.0
    tiers_s: float = 60.0
    drain: bool = False
    deadline_s: float = 6.0
    audit_every_s: float = 300.0
    audit_grace_s: float = 600.0
    audit_period_s: int = 3_600
    log: FoldConfig = field(default_factory=FoldConfig)
    retention: Retention = field(default_factory=Retention)
