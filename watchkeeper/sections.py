"""The tables of the settings file, each with its defaults; `watchkeeper.settings` puts them together."""

import ipaddress
import json
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from connect.config import Compression, SaslMechanism, SecurityProtocol
from schemas.topics import BY_NAME

Port = Annotated[int, Field(ge=0, le=65_535)]


def _decoded(value: object) -> object:
    """Mappings come as JSON from the environment."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        raise ValueError(f'must be a JSON object, such as {{"metrics.samples": 8}}; {value!r} is not') from None


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]") or address
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if value and not (host and port.isascii() and port.isdigit() and 0 < int(port) <= 65_535):
        raise ValueError(f"must be HOST:PORT; {value!r} is not")
    return value


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class LogSettings(Section):
    """What the processes write to their standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severity written.")
    format: Literal["text", "json"] = Field(default="text", description="`text` for people, `json` for machines.")


class KafkaSettings(Section):
    """The Kafka brokers."""

    bootstrap: str = Field(
        default="", description="HOST:PORT of brokers, separated by commas. Empty: the instance of the data folder."
    )
    security_protocol: SecurityProtocol = Field(default="PLAINTEXT", description="How brokers are spoken to.")
    sasl_mechanism: SaslMechanism = Field(default="SCRAM-SHA-512", description="How we prove who we are.")
    sasl_username: str = Field(default="", description="User name, where the protocol is SASL.")
    sasl_password: SecretStr = Field(default=SecretStr(""), description="Password, where the protocol is SASL.")
    ca_file: str = Field(default="", description="Certificates to trust; empty: those of the system.")
    compression: Compression | Literal["none"] = Field(default="zstd", description="Of the batches that are sent.")
    idempotent: bool = Field(
        default=True, description="Whether producers are idempotent; the embedded broker's never are."
    )
    partitions: Annotated[dict[str, int], NoDecode, BeforeValidator(_decoded)] = Field(
        default_factory=dict,
        description="Partitions of topics that get more than their default, when they are created.",
    )
    allow_insecure: bool = Field(
        default=False, description="Allow a protocol without encryption to brokers on other machines."
    )

    @field_validator("bootstrap")
    @classmethod
    def _addresses(cls, value: str) -> str:
        return ",".join(_address(part.strip()) for part in value.split(","))

    @field_validator("partitions")
    @classmethod
    def _known_topics(cls, value: dict[str, int]) -> dict[str, int]:
        unknown = sorted(set(value) - set(BY_NAME))
        if unknown:
            raise ValueError(f"no such topic: {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
        if any(count < 1 or count > 10_000 for count in value.values()):
            raise ValueError("a topic has 1 to 10000 partitions")
        return value

    @field_validator("allow_insecure")
    @classmethod
    def _encrypted_or_near(cls, value: bool, info: ValidationInfo) -> bool:
        addresses = [part for part in info.data.get("bootstrap", "").split(",") if part]
        far = [address for address in addresses if not _is_loopback(address)]
        if far and not value and info.data.get("security_protocol") in ("PLAINTEXT", "SASL_PLAINTEXT"):
            raise ValueError(
                f"{far[0]} is another machine and {info.data['security_protocol']} is not encrypted: set"
                " kafka.security_protocol to SASL_SSL or SSL, or kafka.allow_insecure to true in a trusted network"
            )
        return value


class ClickHouseSettings(Section):
    """The ClickHouse server."""

    address: str = Field(
        default="", description="HOST:PORT of its HTTP interface. Empty: the instance of the data folder."
    )
    username: str = Field(default="default", description="User name.")
    password: SecretStr = Field(default=SecretStr(""), description="Password.")
    secure: bool = Field(default=False, description="Whether to speak HTTPS.")
    ca_file: str = Field(default="", description="Certificates to trust; empty: those of the system.")
    timeout_s: float = Field(default=30.0, gt=0, le=3600, description="How long to wait for an answer.")
    allow_insecure: bool = Field(default=False, description="Allow HTTP without encryption to another machine.")

    @field_validator("address")
    @classmethod
    def _one_address(cls, value: str) -> str:
        return _address(value)

    @field_validator("allow_insecure")
    @classmethod
    def _encrypted_or_near(cls, value: bool, info: ValidationInfo) -> bool:
        address = info.data.get("address", "")
        if address and not value and not info.data.get("secure") and not _is_loopback(address):
            raise ValueError(
                f"{address} is another machine and HTTP is not encrypted: set clickhouse.secure to true,"
                " or clickhouse.allow_insecure to true in a trusted network"
            )
        return value


class CollectSettings(Section):
    """The process that collects this machine's samples."""

    spool_max_bytes: int = Field(
        default=268_435_456,
        ge=1_048_576,
        description="Of records on disk while Kafka is away; beyond it the oldest go.",
    )
    deadline_s: float = Field(default=3.0, gt=0, le=600, description="How long stopping may take.")
    interval_ms: int = Field(default=1_000, ge=100, le=3_600_000, description="Time between two collections.")
    metrics_port: Port | None = Field(
        default=None, description="Of /metrics and /status; default: port_base + 2; 0: any."
    )


class ProcessSettings(Section):
    """The stream processor. The log's own settings must be the same in all workers of one pipeline."""

    group: str = Field(
        default="watchkeeper-process", min_length=1, description="Consumer group that all workers share."
    )
    session_timeout_s: float = Field(
        default=10.0, ge=1, le=300, description="A worker that was silent for so long loses its partitions."
    )
    lateness_ms: int = Field(default=2_000, ge=0, le=600_000, description="How long a window waits for late records.")
    segment_ms: int = Field(
        default=30_000,
        ge=1_000,
        le=3_600_000,
        description="Length of a segment. Never change it under a running pipeline.",
    )
    horizon_segments: int = Field(
        default=2, ge=1, le=100, description="How many earlier segments a duplicate is recognised in."
    )
    skew_bound_ms: int = Field(
        default=2_000, ge=0, le=3_600_000, description="A source whose clock is further off has its times shifted."
    )
    max_rows: int = Field(
        default=200_000, ge=1_000, description="Memory guard: rows that one input partition may hold."
    )
    early_ms: int = Field(default=2_000, ge=0, description="How often rows of open windows are published; 0: never.")
    drain: bool = Field(default=False, description="On stop, first read the inputs to their end.")
    deadline_s: float = Field(default=8.0, gt=0, le=600, description="How long stopping may take.")
    metrics_port: Port | None = Field(
        default=None, description="Of /metrics and /status; default: port_base + 3; 0: any."
    )


class SinkSettings(Section):
    """The process that writes to ClickHouse."""

    group: str = Field(default="watchkeeper-sink", min_length=1, description="Consumer group that all sinks share.")
    session_timeout_s: float = Field(
        default=6.0, ge=1, le=300, description="A sink that was silent for so long loses its partitions."
    )
    deadline_s: float = Field(default=6.0, gt=0, le=600, description="How long stopping may take.")
    drain: bool = Field(default=False, description="On stop, first read the inputs to their end.")
    audit_every_s: float = Field(
        default=300.0, ge=0, le=86_400, description="How often is looked for closed hours to audit; 0: never."
    )
    audit_grace_s: float = Field(
        default=600.0, ge=0, le=604_800, description="How long after its end an hour waits for late records."
    )
    audit_period_s: int = Field(
        default=3_600, ge=60, le=86_400, multiple_of=60, description="Length of an hour that is audited."
    )
    metrics_port: Port | None = Field(
        default=None, description="Of /metrics and /status; default: port_base + 4; 0: any."
    )


class NotifySettings(Section):
    """The process that tells people and other systems of alerts."""

    file: str = Field(default="", description="File of receivers and routes; empty: nobody is told.")
    group: str = Field(
        default="watchkeeper-notify", min_length=1, description="Consumer group that all notifiers share."
    )
    session_timeout_s: float = Field(
        default=6.0, ge=1, le=300, description="A notifier that was silent for so long is replaced by another."
    )
    give_up_s: float = Field(
        default=3_600.0, gt=0, le=604_800, description="For how long a notice is tried that a receiver does not take."
    )
    deadline_s: float = Field(default=4.0, gt=0, le=600, description="How long stopping may take.")
    drain: bool = Field(default=False, description="On stop, first plan and try what waits.")
    explain_s: float = Field(
        default=1.0,
        ge=0,
        le=4,
        description="How long notices may wait for reasons from ClickHouse; 0: there are none.",
    )
    dashboard_url: str = Field(
        default="", max_length=512, description="Where people open the dashboard: notices link to it."
    )
    api_port: Port | None = Field(
        default=None, description="On loopback: Alertmanager's API v2, for Prometheus and amtool; default: not served."
    )
    metrics_port: Port | None = Field(
        default=None, description="Of /metrics and /status; default: port_base + 6; 0: any."
    )


class ServeSettings(Section):
    """The process that answers HTTP: the API."""

    host: str = Field(default="127.0.0.1", description="Address to listen at.")
    port: Port | None = Field(default=None, description="Of the API; default: port_base + 8; 0: any.")
    cert_file: str = Field(default="", description="Certificate chain (PEM): with it HTTPS is spoken.")
    key_file: str = Field(default="", description="Private key of the certificate (PEM).")
    allow_insecure: bool = Field(
        default=False, description="Allow HTTP without encryption at an address that other machines reach."
    )
    records_per_s: float = Field(
        default=100_000.0, ge=0, description="Records that each key may send in a second; 0: any number."
    )
    deadline_s: float = Field(default=2.0, gt=0, le=600, description="How long open requests may take on stop.")
    metrics_port: Port | None = Field(
        default=None, description="Of /metrics and /status; default: port_base + 7; 0: any."
    )

    @field_validator("key_file")
    @classmethod
    def _both(cls, value: str, info: ValidationInfo) -> str:
        if bool(value) != bool(info.data.get("cert_file")):
            raise ValueError("serve.cert_file and serve.key_file go together")
        return value

    @field_validator("allow_insecure")
    @classmethod
    def _encrypted_or_near(cls, value: bool, info: ValidationInfo) -> bool:
        host = info.data.get("host", "")
        if not value and not info.data.get("cert_file") and not _is_loopback(host):
            raise ValueError(
                f"{host} can be reached from other machines and keys would travel in the open: set serve.cert_file and"
                " serve.key_file, or serve.allow_insecure to true behind a proxy that encrypts"
            )
        return value


class EmbeddedSettings(Section):
    """The broker and the ClickHouse that `watchkeeper up` starts."""

    broker: Literal["tansu", "kafka"] = Field(
        default="tansu", description="`tansu`: in memory, brought along; `kafka`: Apache Kafka, needs Java and Maven."
    )
    broker_binary: str = Field(default="", description="Path of Tansu's program; empty: the one that is installed.")
    broker_memory_mb: int = Field(
        default=256, ge=16, description="Memory at which Tansu is replaced by a new one; it never frees any."
    )
    broker_age_h: float = Field(default=24.0, gt=0, description="Age at which Tansu is replaced by a new one.")
