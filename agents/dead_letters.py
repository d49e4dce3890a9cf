"""Records that could not be used, wrapped with the reason for topic `deadletters`."""

from collections.abc import Sequence

from agents.batches import Partition, RawRecord
from connect.outbox import Message
from schemas import deadletters
from schemas.deadletters import MAX_FAULTS, Fault
from schemas.topics import DEADLETTERS

__all__ = ["MAX_FAULTS", "dead_letter"]

REFUSED_BY = "process"


def dead_letter(record: RawRecord, faults: Sequence[Fault], *, partition: Partition, epoch: str) -> Message:
    """The letter for one record. Equal for every fold that reads it."""
    place = (partition.topic, epoch, partition.number, record.offset)
    key, value = deadletters.dead_letter(place, record.key, record.value, faults=faults, refused_by=REFUSED_BY)
    return Message(DEADLETTERS.name, key, value)
