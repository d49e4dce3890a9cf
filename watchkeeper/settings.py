"""Everything that can be set, with its default. `watchkeeper.sources` reads it; `docs/configuration.md` lists it.

The name of a setting's environment variable follows from its place: `kafka.sasl_password` is
`WATCHKEEPER_KAFKA_SASL_PASSWORD`. Nothing in here imports a Kafka or ClickHouse client.
"""

import socket
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.records import Source
from watchkeeper.locate import default_data_dir
from watchkeeper.sections import (
    ClickHouseSettings,
    CollectSettings,
    EmbeddedSettings,
    KafkaSettings,
    LogSettings,
    NotifySettings,
    ProcessSettings,
    ServeSettings,
    SinkSettings,
)

ENV_PREFIX = "WATCHKEEPER_"
_METRICS_PORTS = {"collect": 2, "process": 3, "sink": 4, "notify": 6, "serve": 7}


class Settings(BaseSettings):
    """All settings. Frozen; made by `watchkeeper.sources.load`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="_",
        # The first part names the section, the rest the setting: names themselves contain underscores.
        env_nested_max_split=1,
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    data_dir: Path = Field(default_factory=default_data_dir, description="Everything that an instance keeps on disk.")
    port_base: int = Field(
        default=17_600,
        ge=1_024,
        le=65_530,
        description="First of the ports of `up`, nine at most.",
    )
    source: Source = Field(
        default_factory=socket.gethostname, description="Name under which this machine's records are emitted."
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address of the metrics ports.")
    epoch: str = Field(
        default="", max_length=64, description="Incarnation of the topics; empty: Kafka's own ids. Set by `up`."
    )
    log: LogSettings = Field(default_factory=LogSettings)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    clickhouse: ClickHouseSettings = Field(default_factory=ClickHouseSettings)
    collect: CollectSettings = Field(default_factory=CollectSettings)
    process: ProcessSettings = Field(default_factory=ProcessSettings)
    sink: SinkSettings = Field(default_factory=SinkSettings)
    notify: NotifySettings = Field(default_factory=NotifySettings)
    serve: ServeSettings = Field(default_factory=ServeSettings)
    embedded: EmbeddedSettings = Field(default_factory=EmbeddedSettings)

    @field_validator("data_dir", mode="before")
    @classmethod
    def _folder(cls, value: object) -> object:
        # An empty one, of a shell variable that is not set, would be the present folder.
        if not str(value).strip() or str(value) == ".":
            raise ValueError(
                "must name a folder of its own, not the present one; left out, it is the user's data folder"
            )
        return Path(value).expanduser().absolute() if isinstance(value, str | Path) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  (the signature is the library's)
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what it is given: `sources.load` merges the sources, since it must know where each value came from."""
        return (init_settings,)

    def metrics_port(self, role: str) -> int:
        """Port of the metrics of a role."""
        chosen: int | None = getattr(self, role).metrics_port
        return self.port_base + _METRICS_PORTS[role] if chosen is None else chosen

    @property
    def api_port(self) -> int:
        """Port of the API."""
        return self.port_base + 8 if self.serve.port is None else self.serve.port
