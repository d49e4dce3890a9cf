"""Records that could not be used, wrapped with the reason for topic `deadletters`."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

from agents.batches import Partition, RawRecord
from connect.outbox import Message
from schemas.deadletters import MAX_KEPT_BYTES, DeadLetter, Fault
from schemas.topics import DEADLETTERS

MAX_FAULTS = 100
"""Of a record with more bad samples the first are told, and how many more there were: the letter must stay sendable."""

MAX_KEY_BYTES = 4_096
REFUSED_BY = "process"


def dead_letter(record: RawRecord, faults: Sequence[Fault], *, partition: Partition, epoch: str) -> Message:
    """The letter for one record, with its bytes as they came. Equal for every fold that reads the record."""
    value = record.value
    letter = DeadLetter(
        topic=partition.topic,
        epoch=epoch,
        partition=partition.number,
        offset=record.offset,
        faults=_told(faults),
        key_base64=None if record.key is None else b64encode(record.key[:MAX_KEY_BYTES]).decode(),
        value_base64=None if value is None else b64encode(value[:MAX_KEPT_BYTES]).decode(),
        value_bytes=0 if value is None else len(value),
        value_sha256="" if value is None else sha256(value).hexdigest(),
        refused_by=REFUSED_BY,
    )
    key = f"{partition.topic}-{partition.number}-{record.offset}"
    return Message(DEADLETTERS.name, key.encode(), letter.model_dump_json().encode())


def _told(faults: Sequence[Fault]) -> list[Fault]:
    if len(faults) <= MAX_FAULTS:
        return list(faults)
    more = len(faults) - MAX_FAULTS
    return [*faults[:MAX_FAULTS], Fault(reason=faults[-1].reason, detail=f"and {more} more samples were refused")]
