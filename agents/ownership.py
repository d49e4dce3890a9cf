"""Taking over a partition of `alerts.state`: everything before our own fence is what the owner before could say."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from agents.batches import RawRecord
from connect.outbox import Message
from engine.alerts import alert_id
from engine.part_ids import whole_id
from schemas.alerts import AlertState, Fence, MemoryChunk, Position, StateRecord
from schemas.dimensions import fingerprint
from schemas.errors import BadRecord
from schemas.reference import checked_bytes, parsed
from schemas.topics import ALERT_STATES

_RECORD: TypeAdapter[AlertState | Position | Fence | MemoryChunk] = TypeAdapter(StateRecord)


def owner_of(rule: str, partitions: int) -> int:
    """The partition of `alerts.state` that a rule belongs to, and with it its parts."""
    return fingerprint(whole_id(rule), "", ()) % partitions


@dataclass(slots=True)
class Owned:
    """One partition while it is taken over, and after.

    Attributes:
        seeks: What a batch carries that was fetched after our seek to the first record.
        restored: Whether our fence has come back.
        unreadable: Records that could not be read, and are passed over.
    """

    partition: int
    seeks: int
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    restored: bool = False
    states: dict[str, AlertState] = field(default_factory=dict)
    memory: dict[tuple[str, str, int], MemoryChunk] = field(default_factory=dict)
    position: Position | None = None
    unreadable: int = 0

    def fence(self) -> Message:
        """To be sent when the partition was assigned."""
        value = Fence(partition=self.partition, owner=self.owner).model_dump_json().encode()
        return Message(ALERT_STATES.name, f"fence-{self.partition}".encode(), value, self.partition)

    @staticmethod
    def memory_message(chunk: MemoryChunk, partitions: int) -> Message:
        """What a rule remembers: the hour that comes round to the same slot replaces it."""
        key = f"memory-{chunk.rule}-{alert_id(chunk.rule, chunk.entity)}-{chunk.slot}".encode()
        return Message(ALERT_STATES.name, key, chunk.model_dump_json().encode(), owner_of(chunk.rule, partitions))

    def take(self, records: Sequence[RawRecord]) -> None:
        """Records of the partition, in offset order. What follows our fence is our own echo."""
        for record in records:
            if not self.restored:
                self._take(record)

    def _take(self, record: RawRecord) -> None:
        if record.value is None:
            self.states.pop((record.key or b"").decode("ascii", "replace"), None)
            return
        try:
            read = _RECORD.validate_python(parsed(checked_bytes(record.value)))
        except (BadRecord, ValidationError):
            self.unreadable += 1
            return
        if isinstance(read, AlertState):
            self.states[read.alert] = read
        elif isinstance(read, Position):
            self.position = read
        elif isinstance(read, MemoryChunk):
            self.memory[read.rule, alert_id(read.rule, read.entity), read.slot] = read
        elif read.owner == self.owner:
            self.restored = True
