"""What the topic `notifications` tells of the past: which notices were planned, and which of them have ended."""

from pydantic import TypeAdapter, ValidationError

from connect.reader import TopicReader
from schemas.notifications import Delivered, Failed, NotificationRecord, Planned, Suppressed

_RECORD: TypeAdapter[Planned | Delivered | Failed | Suppressed] = TypeAdapter(NotificationRecord)
READ_S = 0.25


class Past:
    """Notices in the order in which they were planned."""

    def __init__(self) -> None:
        self.planned: dict[str, Planned] = {}
        self.ended: set[str] = set()
        self.failed: dict[str, Failed] = {}
        self.unreadable = 0

    def take(self, value: bytes | None) -> None:
        """One record; what cannot be read is counted."""
        try:
            record = _RECORD.validate_json(value or b"")
        except ValidationError:
            self.unreadable += 1
            return
        if isinstance(record, Planned):
            self.planned.setdefault(record.notice.id, record)
            return
        if isinstance(record, Suppressed):
            return
        self.ended.add(record.id)
        if isinstance(record, Failed):
            self.failed[record.id] = record

    def open(self) -> list[Planned]:
        """Those that were neither delivered nor given up."""
        return [one for id_, one in self.planned.items() if id_ not in self.ended]


async def read_past(reader: TopicReader) -> Past:
    """Everything that stands there. The reader is started."""
    past = Past()
    while not reader.caught_up():
        for chunk in await reader.read(timeout_s=READ_S):
            for record in chunk.records:
                past.take(record.value)
    return past
