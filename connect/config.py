"""Addresses and credentials of Kafka and ClickHouse, as the program's settings hand them down."""

import ssl
from dataclasses import dataclass, field
from typing import Literal

from pydantic import SecretStr

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Compression = Literal["gzip", "lz4", "zstd", "snappy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConfig:
    """Where the broker is, and who we are there."""

    bootstrap: str
    client_id: str = "watchkeeper"
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: SecretStr = field(default=SecretStr(""))
    ca_file: str = ""
    compression: Compression | None = "zstd"
    idempotent: bool = True
    """Off for the embedded broker, which has no idempotent producer for this client."""

    def ssl_context(self) -> ssl.SSLContext | None:
        """A context that verifies the broker's name; None where the protocol is not encrypted."""
        if self.security_protocol in ("PLAINTEXT", "SASL_PLAINTEXT"):
            return None
        return ssl.create_default_context(cafile=self.ca_file or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickHouseConfig:
    """Where ClickHouse is, and who we are there."""

    host: str = "127.0.0.1"
    port: int = 8123
    username: str = "default"
    password: SecretStr = field(default=SecretStr(""))
    secure: bool = False
    ca_file: str = ""
    timeout_s: float = 30.0
