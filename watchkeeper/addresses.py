"""Where Kafka and ClickHouse are for this process: as settings say, else as the instance of the data folder says."""

from connect.asking import Endpoint
from connect.config import ClickHouseConfig, KafkaConfig
from watchkeeper import instance
from watchkeeper.instance import Instance, NotRunning
from watchkeeper.settings import Settings
from watchkeeper.sources import Loaded


def running(settings: Settings) -> Instance:
    """The instance of the data folder.

    Raises:
        NotRunning: None runs.
    """
    return instance.read(settings.data_dir)


def kafka_config(loaded: Loaded, *, client_id: str = "watchkeeper-cli") -> KafkaConfig:
    """The brokers.

    Raises:
        NotRunning: No address is set, and no instance runs on the data folder.
    """
    settings = loaded.settings
    if settings.kafka.bootstrap:
        return kafka_at(settings, settings.kafka.bootstrap, client_id=client_id)
    found = running(settings)
    return kafka_at(settings, found.kafka, client_id=client_id, forgetful=found.forgetful)


def kafka_at(settings: Settings, bootstrap: str, *, client_id: str, forgetful: bool = False) -> KafkaConfig:
    """The same settings with an address. A broker that keeps nothing has no idempotent producers."""
    kafka = settings.kafka
    return KafkaConfig(
        bootstrap=bootstrap,
        client_id=client_id,
        security_protocol=kafka.security_protocol,
        sasl_mechanism=kafka.sasl_mechanism,
        sasl_username=kafka.sasl_username,
        sasl_password=kafka.sasl_password,
        ca_file=kafka.ca_file,
        compression=None if kafka.compression == "none" else kafka.compression,
        idempotent=kafka.idempotent and not forgetful,
    )


def clickhouse_config(loaded: Loaded) -> ClickHouseConfig:
    """The ClickHouse server.

    Raises:
        NotRunning: No address is set, and no instance runs on the data folder.
    """
    settings = loaded.settings
    return clickhouse_at(settings, settings.clickhouse.address or running(settings).clickhouse)


def clickhouse_if_there(loaded: Loaded) -> ClickHouseConfig | None:
    """The same; None where no address is known."""
    try:
        return clickhouse_config(loaded)
    except NotRunning:
        return None


def clickhouse_at(settings: Settings, address: str) -> ClickHouseConfig:
    """The same settings with an address."""
    host, _, port = address.rpartition(":")
    return ClickHouseConfig(
        host=host.strip("[]"),
        port=int(port),
        username=settings.clickhouse.username,
        password=settings.clickhouse.password,
        secure=settings.clickhouse.secure,
        ca_file=settings.clickhouse.ca_file,
        timeout_s=settings.clickhouse.timeout_s,
    )


def endpoint(config: ClickHouseConfig) -> Endpoint:
    """The same for small requests."""
    return Endpoint(
        host=config.host,
        port=config.port,
        username=config.username,
        password=config.password.get_secret_value(),
        secure=config.secure,
        ca_file=config.ca_file,
    )


def epoch(loaded: Loaded) -> str:
    """Incarnation of the topics: as set, else the instance's; empty where Kafka's own ids are used."""
    settings = loaded.settings
    if settings.epoch or settings.kafka.bootstrap:
        return settings.epoch
    return running(settings).epoch
