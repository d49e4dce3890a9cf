"""Topic `deadletters`: records that could not be used, as they came, with the reason."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.errors import Reason
from schemas.records import Count, Millis, Wire

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


class Redrive(Wire):
    """That a refused record is being sent to its topic again, or was. Keyed as its letter.

    Each attempt is written down before it (`begun`) and after its acknowledgement (`sent`), so that no other sends the
    record once more; between the two, the log tells whether it stands there.
    """

    v: Literal[1] = 1
    type: Literal["redrive"] = "redrive"
    topic: Annotated[str, StringConstraints(min_length=1, max_length=249)]
    epoch: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    partition: Count
    offset: Count = Field(description="With the three before, the place of the refused record: that of its letter.")
    state: Literal["begun", "sent"]
    at_ms: Millis
    by: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(description="Who sends it again.")
    to_epoch: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="Incarnation of the topic that it is sent to."
    )
    to_partition: Count
    from_offset: Count = Field(description="Where that partition ended before: what is sent stands there or later.")
    value_sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = Field(
        default="", description="Of the value that is sent; empty: null."
    )


MAX_FAULTS = 100
"""Of a record with more bad samples the first are told, and how many more there were: the letter must stay sendable."""

MAX_KEY_BYTES = 4_096


def dead_letter(
    place: tuple[str, str, int, int],
    key: bytes | None,
    value: bytes | None,
    *,
    faults: Sequence[Fault],
    refused_by: str,
) -> tuple[bytes, bytes]:
    """Key and value of the letter for one record, with its bytes as they came. Equal for all who read the record.

    Args:
        place: Topic, epoch, partition and offset.
        faults: At least one.
        refused_by: The role that refused it.
    """
    topic, epoch, partition, offset = place
    letter = DeadLetter(
        topic=topic,
        epoch=epoch,
        partition=partition,
        offset=offset,
        faults=_told(faults),
        key_base64=None if key is None else b64encode(key[:MAX_KEY_BYTES]).decode(),
        value_base64=None if value is None else b64encode(value[:MAX_KEPT_BYTES]).decode(),
        value_bytes=0 if value is None else len(value),
        value_sha256="" if value is None else sha256(value).hexdigest(),
        refused_by=refused_by,
    )
    return f"{topic}-{partition}-{offset}".encode(), letter.model_dump_json().encode()


def _told(faults: Sequence[Fault]) -> list[Fault]:
    if len(faults) <= MAX_FAULTS:
        return list(faults)
    more = len(faults) - MAX_FAULTS
    return [*faults[:MAX_FAULTS], Fault(reason=faults[-1].reason, detail=f"and {more} more samples were refused")]
