"""Topic `deadletters`: records that could not be used, as they came, with the reason."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.errors import Reason
from schemas.records import Count, Wire

MAX_KEPT_BYTES = 262_144
"""Of a longer record the first part is kept, with its whole length and its SHA-256."""


class Fault(Wire):
    """What was wrong with the record, or with one sample of it."""

    reason: Reason = Field(strict=False)
    detail: Annotated[str, StringConstraints(max_length=512)]
    sample: Count | None = Field(
        default=None, description="Index of the bad sample; absent: the whole record was refused."
    )


class DeadLetter(Wire):
    """One refused record. Keyed `topic-partition-offset`."""

    v: Literal[1] = 1
    topic: Annotated[str, StringConstraints(min_length=1, max_length=249)]
    epoch: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    partition: Count
    offset: Count
    faults: Annotated[list[Fault], Field(min_length=1, max_length=10_000)]
    key_base64: str | None = None
    value_base64: str | None = Field(default=None, description="Null: the value itself was null.")
    value_bytes: Count = Field(description="Length of the whole value.")
    value_sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""
    refused_by: Annotated[str, StringConstraints(max_length=64)] = Field(description="Process that refused it.")
