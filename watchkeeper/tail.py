"""Follows the topic `alerts`, also over a new start of the embedded broker, where offsets begin anew."""

import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator

from pydantic import ValidationError

from connect import offsets
from connect.config import KafkaConfig
from connect.reader import Chunk, TopicReader
from schemas.alerts import Transition
from schemas.topics import ALERTS

REMEMBERED = 10_000
LOOK_EVERY_S = 2.0


class Repeats:
    """Recognises transitions that were seen: they are delivered at least once. Bounded, the oldest forgotten first."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._seen: OrderedDict[str, None] = OrderedDict()

    def is_new(self, transition_id: str) -> bool:
        """Whether this is the first time; from now on it is not."""
        if transition_id in self._seen:
            return False
        self._seen[transition_id] = None
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)
        return True


async def transitions(
    kafka: Callable[[], KafkaConfig], epoch: Callable[[], str], *, from_beginning: bool
) -> AsyncIterator[Transition]:
    """Every transition once, as it comes; never ends by itself.

    Args:
        kafka: Where the brokers are now.
        epoch: Incarnation of the topics now: when it changes, offsets begin anew.
        from_beginning: Whether to begin with what the topic holds, instead of with what comes from now on.

    Raises:
        NotRunning: No instance runs any more.
        BrokerUnavailable: Kafka is away.
    """
    repeats, known = Repeats(), epoch()
    start = {} if from_beginning else await _ends(kafka())
    while True:
        async with TopicReader(kafka(), ALERTS.name, offsets=start) as reader:
            while epoch() == known:
                for transition in _decoded(await reader.read(timeout_s=LOOK_EVERY_S)):
                    if repeats.is_new(transition.id):
                        yield transition
        known, start = epoch(), {}


async def _ends(kafka: KafkaConfig) -> dict[int, int]:
    return {partition: end for (_, partition), end in (await offsets.end_offsets(kafka, [ALERTS.name])).items()}


def _decoded(chunks: list[Chunk]) -> Iterator[Transition]:
    values = [record.value for chunk in chunks for record in chunk.records]
    for value in values:
        # A record that is none of ours, or of a later version, must not end the tail.
        with contextlib.suppress(ValidationError):
            yield Transition.model_validate_json(value or b"")
