"""Settings of the `process` role."""

from dataclasses import dataclass
from pathlib import Path

from connect.config import KafkaConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig:
    """What the stream processor needs to know.

    Attributes:
        source: Name of this machine, under which the worker tells its own figures; empty: it tells none.
        epoch: Incarnation of the topics; empty: each topic's own id is asked from Kafka.
        group: Consumer group. All workers of one pipeline share it.
        data_dir: Existing folder for what Faust insists to keep; None: a temporary one.
        session_timeout_s: A worker that was silent for so long has lost its partitions.
        lateness_ms: How long a window waits for late records, in event time.
        segment_ms: Length of a segment, in time of the log. It must never change under a running pipeline.
        horizon_segments: How many earlier segments a duplicate is recognised in.
        skew_bound_ms: A source whose clock is further off has its event times shifted.
        max_rows: Memory guard: rows that one input partition may hold.
        early_ms: How often rows of open windows are published; 0: never before they close.
        ticks: Whether this worker may write ticks. Off where a log of the past is processed again.
        position_s: How often the evaluator notes how far it has come.
        drain: On stop, first read the inputs to their end, since the broker keeps nothing.
        deadline_s: How long stopping may take.
        watchdog_s: The process ends itself when it has stood still for so long.
    """

    kafka: KafkaConfig
    source: str = ""
    epoch: str = ""
    group: str = "watchkeeper-process"
    data_dir: Path | None = None
    session_timeout_s: float = 10.0
    heartbeat_s: float = 2.0
    lateness_ms: int = 2_000
    segment_ms: int = 30_000
    horizon_segments: int = 2
    skew_bound_ms: int = 2_000
    max_rows: int = 200_000
    early_ms: int = 2_000
    ticks: bool = True
    position_s: float = 5.0
    drain: bool = False
    deadline_s: float = 8.0
    watchdog_s: float = 60.0
