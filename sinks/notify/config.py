"""Configuration of the `notify` role."""

from dataclasses import dataclass

from connect.config import ClickHouseConfig, KafkaConfig
from sinks.notify.file import NotifyFile


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyConfig:
    """Everything the `notify` role needs.

    Attributes:
        file: Receivers and routes; None: nobody is told.
        group: Consumer group; of its members one works at a time.
        session_timeout_s: A member that was silent for so long is replaced.
        give_up_s: For how long a notice is tried that a receiver does not take.
        deadline_s: How long stopping may take.
        drain: On stop, first plan and try what waits.
        clickhouse: Where reasons of alerts are asked for; None: notices have none.
        explain_s: How long the notices of one moment may wait for reasons.
        dashboard_url: Where alerts can be seen.
        api_port: On loopback, where Alertmanager's API v2 is served; None: nowhere.
    """

    kafka: KafkaConfig
    file: NotifyFile | None = None
    group: str = "watchkeeper-notify"
    session_timeout_s: float = 6.0
    give_up_s: float = 3_600.0
    deadline_s: float = 4.0
    drain: bool = False
    clickhouse: ClickHouseConfig | None = None
    explain_s: float = 1.0
    dashboard_url: str = ""
    api_port: int | None = None
