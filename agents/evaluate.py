"""The evaluate agent: rollup rows and rules to alert states and transitions."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping

from agents.batches import Batch, Partition, Seek
from agents.config import ProcessConfig
from agents.metrics import Metrics
from agents.ownership import Owned, owner_of
from agents.rule_book import RuleBook
from connect.outbox import Message, Outbox
from connect.reader import TopicReader
from engine.evaluator import Evaluation, Evaluator, EvaluatorConfig
from schemas.alerts import AlertState, Position
from schemas.errors import BadRecord
from schemas.rollup_wire import Mark, decode_message, newest_ms, rows_of
from schemas.topics import ALERT_STATES, ALERTS, CONTROL, ROLLUPS

_LOG = logging.getLogger(__name__)

READ_S = 0.25
CONTROL_S = 1.0


class EvaluateAgent:
    """Evaluates the rules of the partitions of `alerts.state` that this worker owns.

    Every worker reads all of `metrics.rollups`; a decision is made durable before anybody hears of it (see `_decide`).

    Args:
        seek: Of `alerts.state`.
        inputs: Partitions of the input topics, whose watermarks count.
        epoch: Incarnation of `metrics.rollups`.
        partitions: How many `alerts.state` has.
    """

    def __init__(
        self,
        config: ProcessConfig,
        *,
        outbox: Outbox,
        metrics: Metrics,
        seek: Seek,
        inputs: frozenset[tuple[str, int]],
        epoch: str,
        partitions: int,
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._metrics = metrics
        self._seek = seek
        self._inputs = inputs
        self._epoch = epoch
        self._partitions = partitions
        self._owned: dict[int, Owned] = {}
        self._ready = asyncio.Event()
        self._evaluator: Evaluator | None = None
        self._evaluated: Mapping[int, int] = {}
        """Partition of `metrics.rollups` to the offset below which everything was evaluated."""
        self._round = asyncio.Event()

    async def assigned(self, partitions: frozenset[Partition]) -> None:
        """Begins to take over: writes the fences. Their coming back tells that everything was read.

        A fetch that is under way during a rebalance may bring records of the new assignment, and is dropped. So each
        partition is read from a seek of our own on: what is fetched after it is lost by a later rebalance only.
        """
        numbers = sorted(number for topic, number in partitions if topic == ALERT_STATES.name)
        self._owned = {number: Owned(number, self._seek(Partition(ALERT_STATES.name, number), 0)) for number in numbers}
        self._ready.clear()
        await self._outbox.deliver([owned.fence() for owned in self._owned.values()])

    async def revoked(self) -> None:
        """Forgets everything; the next owner restores it."""
        self._owned = {}
        self._evaluator = None
        self._ready.clear()

    async def take(self, batch: Batch) -> None:
        """Records of `alerts.state`."""
        owned = self._owned.get(batch.partition.number)
        if owned is None or owned.restored or batch.seeks < owned.seeks:
            return
        owned.take(batch.records)
        if owned.restored and all(one.restored for one in self._owned.values()):
            self._metrics.unreadable.labels(ALERT_STATES.name).inc(sum(one.unreadable for one in self._owned.values()))
            self._ready.set()

    @property
    def firing(self) -> list[AlertState]:
        """Alerts of this worker that are raised."""
        return self._evaluator.firing if self._evaluator is not None else []

    async def run(self) -> None:
        """Evaluates for as long as partitions are owned, again and again, until cancelled."""
        while True:
            await self._ready.wait()
            owned = self._owned
            try:
                await self._evaluate(owned)
            finally:
                self._evaluator, self._evaluated = None, {}
                self._round.set()

    async def _evaluate(self, owned: dict[int, Owned]) -> None:
        positions = [one.position for one in owned.values() if one.position and one.position.epoch == self._epoch]
        offsets = _earliest([position.offsets for position in positions]) if len(positions) == len(owned) else {}
        async with (
            TopicReader(self._config.kafka, CONTROL.name) as control,
            TopicReader(self._config.kafka, ROLLUPS.name, offsets=offsets) as rollups,
        ):
            book = RuleBook(self._partitions)
            while not control.caught_up():
                await self._read_control(control, book, READ_S)
            evaluator = Evaluator(EvaluatorConfig(inputs=self._inputs))
            evaluator.apply_rules(book.owned(frozenset(owned)))
            evaluated = [position.evaluated_ms for position in positions]
            evaluator.restore(
                [state for one in owned.values() for state in one.states.values()], min(evaluated, default=None)
            )
            evaluator.restore_memory(chunk for one in owned.values() for chunk in one.memory.values())
            await self._resend(owned)
            self._evaluator = evaluator
            await self._loop(owned, control, rollups, book)

    async def _resend(self, owned: Mapping[int, Owned]) -> None:
        """Transitions that the owner before may have persisted and not emitted. Consumers know repeats by their id."""
        for one in owned.values():
            since_ms = one.position.evaluated_ms if one.position is not None else 0
            unsent = [t for state in one.states.values() for t in state.unsent if t.at_ms > since_ms]
            await self._outbox.deliver([_emission(t.alert, t.model_dump_json()) for t in unsent])

    async def _loop(self, owned: dict[int, Owned], control: TopicReader, rollups: TopicReader, book: RuleBook) -> None:
        evaluator = self._evaluator
        needed = Needed()
        controlled_s = noted_s = time.monotonic()
        while evaluator is not None and self._owned is owned:
            for chunk in await rollups.read(timeout_s=READ_S):
                for record in chunk.records:
                    self._feed(evaluator, needed, chunk.partition, record.offset, record.value)
            if time.monotonic() - controlled_s > CONTROL_S:
                controlled_s = time.monotonic()
                if await self._read_control(control, book, 0.0):
                    evaluator.apply_rules(book.owned(frozenset(owned)))
            for evaluation in evaluator.evaluate():
                if self._owned is not owned:
                    return
                await self._outbox.deliver(book.applied(frozenset(owned), evaluation.at_ms))
                await self._decide(evaluation)
            early = evaluator.anticipate()
            if early is not None and self._owned is owned:
                await self._decide(early)
            # Annotations of late data: nothing rests on them, so they are not made durable first.
            amended = evaluator.take_amendments()
            await self._outbox.deliver([_emission(one.alert, one.model_dump_json()) for one in amended])
            if time.monotonic() - noted_s > self._config.position_s:
                noted_s = time.monotonic()
                await self._note(owned, evaluator, needed.offsets(evaluator.needed_from_ms, rollups.positions), book)
            self._evaluated = rollups.positions
            self._round.set()

    async def _read_control(self, control: TopicReader, book: RuleBook, timeout_s: float) -> bool:
        changed = False
        for chunk in await control.read(timeout_s=timeout_s):
            for record in chunk.records:
                try:
                    changed |= book.take(record.value)
                except ValueError:
                    self._metrics.unreadable.labels(CONTROL.name).inc()
                    _LOG.error("A control record cannot be read, at offset %d", record.offset)
        return changed

    def _feed(self, evaluator: Evaluator, needed: "Needed", partition: int, offset: int, value: bytes | None) -> None:
        try:
            record = decode_message(value)
            if isinstance(record, Mark):
                evaluator.add_mark(record)
                return
            needed.note(partition, offset, newest_ms(record))
            if evaluator.reads(record.metric):
                evaluator.add_rows(rows_of(record))
        except BadRecord:
            self._metrics.unreadable.labels(ROLLUPS.name).inc()

    async def _decide(self, evaluation: Evaluation) -> None:
        """Makes decisions of one grid point known, early ones too. The order is the guarantee.

        1. What rules remember, and changed states, each with its transitions, are written to `alerts.state`, and
           acknowledged.
        2. The transitions are emitted on `alerts`, and acknowledged.

        A crash between the two leaves them in the state: the next owner emits them, under the same ids.
        """
        # Step 1
        await self._outbox.deliver(Owned.memory_message(one, self._partitions) for one in evaluation.memory)
        await self._outbox.deliver(
            Message(
                ALERT_STATES.name,
                state.alert.encode(),
                state.model_dump_json().encode(),
                owner_of(state.rule, self._partitions),
            )
            for state in evaluation.states
        )
        # Step 2
        transitions = evaluation.transitions
        await self._outbox.deliver([_emission(one.alert, one.model_dump_json()) for one in transitions])
        for transition in transitions:
            self._metrics.transitions.labels(transition.to_state.value).inc()
            _LOG.info("%s => %s: %s", transition.from_state, transition.to_state, transition.summary)

    async def _note(
        self, owned: Mapping[int, Owned], evaluator: Evaluator, offsets: Mapping[int, int], book: RuleBook
    ) -> None:
        """How far we are, so that the next owner neither reads everything again nor misses a row."""
        if evaluator.evaluated_ms is None:
            return
        for number in owned:
            position = Position(
                partition=number,
                epoch=self._epoch,
                offsets={str(partition): offset for partition, offset in offsets.items()},
                evaluated_ms=evaluator.evaluated_ms,
                rules={id_: one.version for id_, one in book.owned(frozenset({number})).items()},
            )
            value = position.model_dump_json().encode()
            await self._outbox.deliver([Message(ALERT_STATES.name, f"position-{number}".encode(), value, number)])

    async def reach(self, ends: Mapping[int, int]) -> None:
        """Returns when `metrics.rollups` was evaluated up to these offsets, for the rules that are this worker's."""
        while self._owned and any(end > self._evaluated.get(partition, 0) for partition, end in ends.items()):
            self._round.clear()
            await self._round.wait()


class Needed:
    """Which offsets of `metrics.rollups` hold rows that an open grid point may still look at."""

    def __init__(self) -> None:
        self._noted: dict[int, deque[tuple[int, int]]] = {}

    def note(self, partition: int, offset: int, newest_ms: int) -> None:
        """A record, and the newest start of a window in it."""
        self._noted.setdefault(partition, deque()).append((offset, newest_ms))

    def offsets(self, needed_from_ms: int, positions: Mapping[int, int]) -> dict[int, int]:
        """Partition to the oldest offset that must be read again."""
        found = dict(positions)
        for partition, noted in self._noted.items():
            while noted and noted[0][1] < needed_from_ms:
                noted.popleft()
            if noted:
                found[partition] = noted[0][0]
        return found


def _emission(alert: str, value: str) -> Message:
    return Message(ALERTS.name, alert.encode(), value.encode())


def _earliest(several: list[dict[str, int]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for offsets in several:
        for partition, offset in offsets.items():
            found[int(partition)] = min(offset, found.get(int(partition), offset))
    return found
