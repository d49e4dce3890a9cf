"""Sends refused records to their topics again, once each, whatever dies when."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from connect.clickhouse import Store
from connect.clock import now_ms
from connect.config import KafkaConfig
from connect.kafka import connected, partition_of
from connect.log import Log
from connect.offsets import committed_offsets
from connect.outbox import Message, Outbox
from connect.topic_ids import topic_epochs
from engine.redrive import Attempt, Attempts, Fate, Letter, Place, Verdict, arrived, sent_again, verdict
from schemas.deadletters import Redrive
from schemas.topics import DEADLETTERS, TOPICS
from sinks.clickhouse import letters
from sinks.clickhouse.letters import Selection

Tell = Callable[[Letter, Verdict], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveConfig:
    """What a redrive needs to know.

    Attributes:
        epoch: Incarnation of the topics; empty: each topic's own id is asked from Kafka.
        sink_group: What the sink has committed of topic `deadletters` is in ClickHouse.
        skew_bound_ms: As the workers have it.
        by: Who sends.
    """

    kafka: KafkaConfig
    epoch: str
    sink_group: str
    skew_bound_ms: int
    by: str


class Redriver:
    """Looks at letters, and sends what may be sent. Made by `redriver`.

    Args:
        log: The topics that records may be sent to, as they were when the redrive began.
        newest: Earlier attempts that ClickHouse may not know yet.
    """

    def __init__(
        self, config: RedriveConfig, store: Store, log: Log, *, epochs: Mapping[str, str], newest: Attempts
    ) -> None:
        self._config = config
        self._store = store
        self._log = log
        self._epochs = epochs
        self._newest = newest

    def preview(self, selection: Selection, tell: Tell) -> None:
        """Tells what would become of each letter."""
        for page in letters.pages(self._store, selection):
            for letter, found in self._verdicts(page, self._known(page)):
                tell(letter, found)

    async def carry_out(self, selection: Selection, tell: Tell) -> None:
        """Sends what may be sent, and tells what became of each letter.

        Raises:
            PermanentError: Kafka refuses a record.
        """
        async with connected(self._config.kafka) as client:
            for page in letters.pages(self._store, selection):
                known = self._known(page)
                found = self._verdicts(page, known)
                chosen = [letter for letter, one in found if one.fate in (Fate.SEND, Fate.LOOK)]
                await self._send(Outbox(client), chosen, known)
                for letter, one in found:
                    tell(letter, one)

    def _known(self, page: Sequence[Letter]) -> Attempts:
        known = letters.attempts(self._store, page)
        known.update(self._newest)
        return known

    def _verdicts(self, page: Sequence[Letter], known: Attempts) -> list[tuple[Letter, Verdict]]:
        return [(letter, self._verdict(letter, known)) for letter in page]

    def _verdict(self, letter: Letter, known: Attempts) -> Verdict:
        topic = letter.place[0]
        beginnings = {number: offset for (name, number), offset in self._log.beginnings.items() if name == topic}
        return verdict(letter, known, epoch=self._epochs.get(topic, ""), beginnings=beginnings)

    async def _send(self, outbox: Outbox, chosen: Sequence[Letter], known: Attempts) -> None:
        """Sends letters. The order is the guarantee.

        1. Of those of which an attempt was cut off, the log is asked whether they stand there; then they are done.
        2. That the others are about to be sent is written down, with where their partitions end and what is sent.
        3. They are sent, and their acknowledgement is awaited.
        4. That they were sent is written down.

        A crash after 2 leaves attempts that step 1 of another redrive finds out about.
        """
        # Step 1
        doubtful = {letter.place: known.of(letter.place) for letter in chosen if known.of(letter.place)}
        standing = await self._standing(doubtful)
        # Step 2
        marks = [(letter.place in standing, *self._mark(letter)) for letter in chosen]
        await outbox.deliver(_noted(mark, "begun") for stands, mark, _ in marks if not stands)
        # Step 3
        await outbox.deliver(message for stands, _, message in marks if not stands)
        # Step 4
        await outbox.deliver(_noted(mark, "sent") for _, mark, _ in marks)

    async def _standing(self, doubtful: Mapping[Place, Sequence[Attempt]]) -> set[Place]:
        """Those of which an attempt stands in the log."""
        attempts = [(place[0], one) for place, some in doubtful.items() for one in some]
        firsts: dict[tuple[str, int], int] = {}
        for topic, one in attempts:
            partition = (topic, one.to_partition)
            firsts[partition] = min(one.from_offset, firsts.get(partition, one.from_offset))
        hashes, found = {one.value_sha256 for _, one in attempts}, dict[tuple[str, int, str], int]()
        self._log.begin(firsts)
        for topic, number in firsts:
            while records := await self._log.read(topic, number):
                for record in records:
                    hashed = _hash(record.value)
                    if hashed in hashes:
                        found[topic, number, hashed] = record.offset
        return {place for place, some in doubtful.items() if arrived(place[0], some, found)}

    def _mark(self, letter: Letter) -> tuple[Redrive, Message]:
        """What is written down, and what is sent."""
        topic, epoch, partition, offset = letter.place
        count = sum(name == topic for name, _ in self._log.ends)
        # Where it stood before: there the fold knows repeats of it.
        to = partition if partition < count else partition_of(letter.key or b"", count)
        at_ms = now_ms()
        value = sent_again(letter, now_ms=at_ms, skew_bound_ms=self._config.skew_bound_ms)
        mark = Redrive(
            topic=topic,
            epoch=epoch,
            partition=partition,
            offset=offset,
            state="begun",
            at_ms=at_ms,
            by=self._config.by,
            to_epoch=self._epochs[topic],
            to_partition=to,
            from_offset=self._log.ends[topic, to],
            value_sha256=_hash(value),
        )
        return mark, Message(topic, letter.key, value, to)


def _hash(value: bytes | None) -> str:
    return "" if value is None else sha256(value).hexdigest()


def _noted(mark: Redrive, state: Literal["begun", "sent"]) -> Message:
    key = f"{mark.topic}-{mark.partition}-{mark.offset}".encode()
    return Message(DEADLETTERS.name, key, mark.model_copy(update={"state": state}).model_dump_json().encode())


@asynccontextmanager
async def redriver(config: RedriveConfig, store: Store) -> AsyncIterator[Redriver]:
    """One that knows of every earlier attempt, of those too that the sink has not stored yet.

    Raises:
        BadSettings: A topic is missing.
        BrokerUnavailable: Kafka is away.
    """
    topics = [topic.name for topic in TOPICS if not topic.compacted]
    epochs = await topic_epochs(config.kafka, topics, fixed=config.epoch)
    newest = await _newest(config)
    async with Log(config.kafka, topics) as log:
        yield Redriver(config, store, log, epochs=epochs, newest=newest)


async def _newest(config: RedriveConfig) -> Attempts:
    """Attempts that topic `deadletters` holds behind what the sink has committed."""
    stored = await committed_offsets(config.kafka, config.sink_group, DEADLETTERS.name)
    newest = Attempts()
    async with Log(config.kafka, [DEADLETTERS.name]) as log:
        # A commit beyond the end is of another log.
        firsts = {one: stored.get(one[1], 0) if stored.get(one[1], 0) <= end else 0 for one, end in log.ends.items()}
        log.begin({one: max(first, log.beginnings[one]) for one, first in firsts.items()})
        for topic, number in firsts:
            while records := await log.read(topic, number):
                for record in records:
                    _remember(newest, record.value)
    return newest


def _remember(newest: Attempts, value: bytes | None) -> None:
    if value is None or b'"redrive"' not in value[:64]:
        return
    one = Redrive.model_validate_json(value)
    place = (one.topic, one.epoch, one.partition, one.offset)
    if one.state == "sent":
        newest.sent(place)
    else:
        newest.begun(place, Attempt(one.to_epoch, one.to_partition, one.from_offset, one.value_sha256))
