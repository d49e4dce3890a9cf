"""Files of incidents that really were, to hold alerts against them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from engine.episodes import Labelled
from operations.yaml_file import Form, Place, parse, read
from schemas.dimensions import Dimensions
from schemas.records import Millis, Wire


def _moment_ms(value: object) -> object:
    """A time as people write it; without a zone it is UTC. Raises ValueError."""
    try:
        # YAML has read a time without quotes already.
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError("this is no time: write 2026-11-25T17:00:00Z") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


Moment = Annotated[Millis, BeforeValidator(_moment_ms)]


class Label(Wire):
    """Something that really was wrong."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: str = Field(default="", max_length=256, description="What it was, for people.")
    from_ms: Moment = Field(alias="from", description="When it began to matter.")
    to_ms: Moment = Field(alias="to", description="When it was over.")
    where: Dimensions = Field(
        default_factory=dict, description="Dimensions of the alerts that tell of it; without, any alert does."
    )


class Labels(Wire):
    """A file of them."""

    model_config = ConfigDict(extra="forbid")

    incidents: list[Label] = Field(max_length=10_000)


def load_labels(path: Path) -> list[Labelled]:
    """The incidents of a file.

    Raises:
        BadSettings: With every fault.
    """
    file = parse(read(path, "incidents"), str(path), Labels, _unfit, Form(page="docs/backtests.md"))
    return [
        Labelled(name=one.name or f"incident {place}", from_ms=one.from_ms, to_ms=one.to_ms, where=one.where)
        for place, one in enumerate(file.incidents, 1)
    ]


def _unfit(file: Labels) -> Iterator[tuple[Place, str]]:
    for place, one in enumerate(file.incidents):
        if one.to_ms < one.from_ms:
            yield ("incidents", place, "to"), f"incidents.{place}.to: it must not be before from"
