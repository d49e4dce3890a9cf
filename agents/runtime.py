"""Faust behind a small typed face: group, assignment, agents and the worker's life are Faust's, the rest is ours.

Whole batches reach the agents: one message for each fetch and partition, which costs Faust's drain loop a few tasks for
thousands of records. Everything private that is used of Faust, mode and aiokafka stands in this module, and
`tests/agents/test_runtime_contract.py` pins it to their versions.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import faust
from aiokafka.structs import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP
from faust.types.auth import AuthProtocol
from faust.types.tuples import ConsumerMessage

from agents.batches import Batch, Partition
from agents.faust_settings import SETTINGS
from agents.life import Life
from connect.config import KafkaConfig
from connect.fetch import give_parsed_records
from schemas.errors import WatchkeeperError

PAUSED_S = 0.02
"""How long to wait when all partitions wait for room in the queue: an empty set would mean "all" to aiokafka."""

UNASSIGNED_S = 0.5
FETCH_S = 1.0

Take = Callable[[Batch], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """What the app needs to know.

    Attributes:
        group: Consumer group, and name of the app.
        data_dir: An existing folder for what Faust insists to keep; nothing of ours stands there.
        session_timeout_s: A member that was silent for so long has lost its partitions.
    """

    kafka: KafkaConfig
    group: str
    data_dir: Path
    session_timeout_s: float
    heartbeat_s: float


class _ConsumerThread(AIOKafkaConsumerThread):
    async def _fetch_records(self, consumer: Any, active_partitions: set[TP], *limits: Any, **more: Any) -> Any:
        give_parsed_records(consumer)
        return await super()._fetch_records(consumer, active_partitions, *limits, **more)


class BatchConsumer(Consumer):
    """Faust's consumer, delivering one message for each fetch and partition. Its value is a `Batch`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wanted: dict[TP, int] = {}
        self._seeks: defaultdict[TP, int] = defaultdict(int)

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def request_seek(self, tp: TP, offset: int) -> int:
        """Has the position changed before the next fetch; the number that batches fetched after it will carry.

        Only the drain loop seeks, between two fetches: so a batch is known to be from before or after it.
        """
        self._wanted[tp] = offset
        return self._seeks[tp] + 1

    def forget_seeks(self) -> None:
        """Drops the seeks that were not carried out: the next assignment begins at the commit."""
        self._wanted.clear()

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                for message in await self._next_messages():
                    await self.wait_first(self.callback(message), self.suspend_flow.wait())
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _next_messages(self) -> list[ConsumerMessage]:
        if not self.flow_active:
            await self.wait(cast(Any, self.can_resume_flow))
        generation = self.app.consumer_generation_id
        await self._seek_where_wanted()
        if not self._same(generation):
            return []
        active = set(self._get_active_partitions())
        if not active:
            await asyncio.sleep(PAUSED_S if self._buffered_partitions else UNASSIGNED_S)
            return []
        fetched = await self._getmany(active_partitions=active, timeout=FETCH_S)
        # Without a rebalance in between these are ours; after one the new owner starts from the commit.
        if not self._same(generation):
            return []
        return [self._message(TP(*tp), records, generation) for tp, records in fetched.items() if records]

    def _same(self, generation: int) -> bool:
        """Whether no rebalance has begun since."""
        return bool(self.flow_active and self.app.consumer_generation_id == generation)

    async def _seek_where_wanted(self) -> None:
        while self._wanted:
            tp, offset = self._wanted.popitem()
            if tp in self.assignment():
                await self.seek_wait({tp: offset})
                self._seeks[tp] += 1

    def _message(self, tp: TP, records: Sequence[Any], generation: int) -> ConsumerMessage:
        last = records[-1]
        batch: Any = Batch(partition=Partition(*tp), records=records, generation=generation, seeks=self._seeks[tp])
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=last.offset,
            timestamp=last.timestamp / 1000.0,
            timestamp_type=last.timestamp_type,
            headers=None,
            key=None,
            value=batch,
            checksum=None,
            tp=tp,
            generation_id=generation,
        )


class BatchTransport(Transport):
    """Faust's aiokafka transport with our consumer."""

    Consumer = BatchConsumer


class _Worker(faust.Worker):
    def __init__(self, app: faust.App, life: Life, loop: asyncio.AbstractEventLoop) -> None:
        self._life = life
        super().__init__(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
        self.spinner = None

    async def on_start(self) -> None:
        await super().on_start()
        await self._life.opening()

    async def _stop_on_signal(self, signal: Any) -> None:
        await self._life.draining()
        await super()._stop_on_signal(signal)

    async def on_shutdown(self) -> None:
        await super().on_shutdown()
        await self._life.closing()

    async def maybe_start_blockdetection(self) -> None:
        """The watchdog does that."""


class Runtime:
    """One Faust app. Construct it where no event loop runs; `run` makes one and returns when the worker has ended."""

    def __init__(self, config: RuntimeConfig) -> None:
        # Faust's own types lack half of what is there at run time.
        self._app: Any = faust.App(
            config.group,
            broker=f"kafka://{config.kafka.bootstrap.replace(',', ';')}",
            broker_client_id=config.kafka.client_id,
            broker_credentials=_credentials(config.kafka),
            broker_session_timeout=config.session_timeout_s,
            broker_heartbeat_interval=config.heartbeat_s,
            datadir=str(config.data_dir),
            **SETTINGS,
        )
        self._app.transport = BatchTransport(self._app.conf.broker_consumer, self._app)
        self._assigned: frozenset[Partition] | None = None

    def agent(self, name: str, topics: Iterable[str], take: Take) -> None:
        """Gives every batch of these topics to `take`, one after another. An exception of it ends the process."""
        topic = self._app.topic(
            *topics, acks=False, internal=False, key_type=bytes, value_type=bytes, value_serializer="raw"
        )

        async def run(stream: AsyncIterator[Batch]) -> None:
            async for batch in stream:
                await take(batch)

        self._app.agent(topic, name=name)(run)

    def on_rebalance(
        self,
        *,
        assigned: Callable[[frozenset[Partition]], Awaitable[None]],
        revoked: Callable[[], Awaitable[None]],
    ) -> None:
        """Calls `revoked` while the partitions are still ours, so that it may commit, and `assigned` with the new ones.

        All partitions are revoked each time. When `assigned` is called, no batch of the new generation has come yet.
        """

        async def on_revoked(*_: Any, **__: Any) -> None:
            self._assigned = None
            self._app.consumer.forget_seeks()
            await revoked()

        async def on_assigned(_: Any, partitions: set[TP], **__: Any) -> None:
            self._assigned = frozenset(Partition(*tp) for tp in partitions)
            await assigned(self._assigned)

        self._app.on_partitions_revoked.connect(on_revoked)
        self._app.on_partitions_assigned.connect(on_assigned)

    @property
    def generation(self) -> int:
        """Of the consumer group; it changes with each rebalance."""
        return int(self._app.consumer_generation_id)

    @property
    def assigned(self) -> frozenset[Partition] | None:
        """What this worker owns; None between being revoked and being assigned."""
        return self._assigned

    @property
    def flowing(self) -> bool:
        """Whether batches can come: assigned (if only nothing), and not stopped for a rebalance."""
        return self._assigned is not None and bool(self._app.consumer.flow_active)

    def highwater(self, partition: Partition) -> int | None:
        """End of a partition as the last fetch told it; None before that. Callable from any thread."""
        highwater = self._app.consumer.highwater(TP(*partition))
        return None if highwater is None else int(highwater)

    async def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Where partitions end, asked from the broker. Tansu's answer is a batch old."""
        ends = await self._app.consumer.highwaters(*(TP(*partition) for partition in partitions))
        return {Partition(*tp): int(end) for tp, end in ends.items()}

    async def committed(self, partition: Partition) -> int | None:
        """The group's committed offset, asked from the broker."""
        thread = self._app.consumer._thread
        client = thread._ensure_consumer()
        return cast("int | None", await thread.call_thread(client.committed, TopicPartition(*partition)))

    async def beginning(self, partition: Partition) -> int:
        """The first offset that the log still has, asked from the broker."""
        (offset,) = (await self._app.consumer.earliest_offsets(TP(*partition))).values()
        return int(offset)

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Commits; False when the group has rebalanced meanwhile. Any other failure ends the process."""
        return bool(await self._app.consumer._commit({TP(*partition): offset for partition, offset in offsets.items()}))

    def seek(self, partition: Partition, offset: int) -> int:
        """Has the partition read again from an offset: batches with the returned `seeks` come from there."""
        return int(self._app.consumer.request_seek(TP(*partition), offset))

    def spawn(self, task: Coroutine[object, object, None]) -> "asyncio.Future[None]":
        """Runs a task until it ends or the app stops. An exception of it ends the process with an exit code not 0."""
        return cast("asyncio.Future[None]", self._app.add_future(task))

    def run(self, life: Life) -> int:
        """Runs the app until a signal or a crash; the exit code.

        Raises:
            WatchkeeperError: The app crashed with one. mode only logs it, and would hide from the caller what to say.
        """
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self._app.loop, worker = loop, _Worker(self._app, life, loop)
        try:
            worker.execute_from_commandline()
        except SystemExit as ending:
            if isinstance(worker.crash_reason, WatchkeeperError):
                raise worker.crash_reason from None
            return ending.code if isinstance(ending.code, int) else 1


def _credentials(kafka: KafkaConfig) -> Any:
    if kafka.security_protocol == "PLAINTEXT":
        return None
    if kafka.security_protocol == "SSL":
        return faust.SSLCredentials(kafka.ssl_context())
    credentials = faust.SASLCredentials(
        username=kafka.sasl_username,
        password=kafka.sasl_password.get_secret_value(),
        mechanism=kafka.sasl_mechanism,
        ssl_context=kafka.ssl_context(),
    )
    credentials.protocol = AuthProtocol(kafka.security_protocol)
    return credentials
