"""Publishing input records: identified, batched, acknowledged, and kept on disk while the broker is away."""

import asyncio
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from connect.config import KafkaConfig
from connect.kafka import close, producer
from connect.spool import Spool, Waiting
from schemas.errors import BrokerUnavailable

_LOG = logging.getLogger(__name__)

DELIVERY_S = 5.0
"""How long one attempt may take. Short, since `sent_ms` is stamped at its begin, and readers trust it."""

RETRY_S = 0.5
MAX_IN_MEMORY = 10_000
MAX_BATCH = 500


class Publisher:
    """Publishes records of one source to input topics.

    Every record carries (source, boot, seq); a repeated attempt sends the same identity, so readers drop the repeat.

    Args:
        spool: Where records wait while the broker is away. Without one they wait in memory, up to `MAX_IN_MEMORY`,
            and `flush` fails after `patience_s`.
        clock: Wall clock, epoch milliseconds.
    """

    def __init__(
        self,
        config: KafkaConfig,
        *,
        source: str,
        clock: Callable[[], int],
        spool: Spool | None = None,
        patience_s: float = 30.0,
    ) -> None:
        self._config = config
        self._source = source
        self._clock = clock
        self._spool = spool
        self._patience_s = patience_s
        self._boot = os.urandom(8).hex()
        self._seq = 0
        self._waiting: deque[Waiting] = deque()
        self._sending = 0
        self._kafka: AIOKafkaProducer | None = None
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.published = 0
        self.lost = 0
        self.on_delivered: Callable[[float], None] | None = None

    @property
    def spooled(self) -> int:
        """Records that wait on disk."""
        return len(self._spool) if self._spool is not None else 0

    async def start(self) -> None:
        """Begins to deliver in the background. The broker need not be there."""
        self._task = asyncio.create_task(self._deliver())

    async def publish(self, topic: str, key: str, fields: Mapping[str, Any], at_ms: int, *, source: str = "") -> None:
        """Takes a record over. Returns at once; `flush` tells when it is safe.

        Args:
            fields: What the topic's model has beside the envelope.
            at_ms: When it happened, epoch milliseconds.
            source: Of this record, where it is not the publisher's.

        Raises:
            BrokerUnavailable: Without a spool, when too many records wait in memory.
        """
        if self._spool is None and len(self._waiting) >= MAX_IN_MEMORY:
            raise BrokerUnavailable(f"Kafka at {self._config.bootstrap} is away and {MAX_IN_MEMORY} records wait")
        envelope = {"v": 1, "source": source or self._source, "boot": self._boot, "seq": self._seq, "at_ms": at_ms}
        self._seq += 1
        body = json.dumps({**envelope, **fields}, separators=(",", ":"), allow_nan=False).encode()[:-1]
        self._waiting.append(Waiting(topic, key, body))
        self._settled.clear()
        self._wake.set()

    async def flush(self) -> None:
        """Returns when everything published so far is acknowledged by Kafka, or on disk.

        Raises:
            BrokerUnavailable: Without a spool, when the broker did not take it in time.
        """
        try:
            async with asyncio.timeout(None if self._spool is not None else self._patience_s):
                while self._waiting or self._sending:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            raise BrokerUnavailable(
                f"Kafka at {self._config.bootstrap} did not take the records within {self._patience_s:g} s."
                " Is it running?"
            ) from None

    async def stop(self, deadline_s: float) -> None:
        """Delivers what can be delivered in time, spools the rest, and ends. Safe without start, and twice."""
        until_s = asyncio.get_running_loop().time() + deadline_s
        with suppress(TimeoutError, BrokerUnavailable):
            async with asyncio.timeout_at(until_s):
                await self.flush()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._waiting:
            self._keep()
        if self._kafka is not None:
            await close(self._kafka, within_s=until_s - asyncio.get_running_loop().time())
            self._kafka = None

    async def _deliver(self) -> None:
        """Sends what waits, oldest first: the spool before the memory."""
        while True:
            if not self.spooled and not self._waiting:
                self._wake.clear()
                self._settled.set()
                await self._wake.wait()
                continue
            if self.spooled and self._waiting:
                self._keep()
            try:
                await self._send_oldest()
            except (KafkaError, OSError, TimeoutError) as error:
                _LOG.warning("Kafka did not take records: %r", error)
                self._keep()
                await self._reconnect_later()

    async def _send_oldest(self) -> None:
        """One attempt. What is not acknowledged stays, or goes back, in its order; the rest is never sent again."""
        kafka = await self._connected()
        acknowledgements: list[asyncio.Future[object]] = []
        if self._spool is not None and self.spooled:
            records = self._spool.oldest()
            try:
                await self._attempt(kafka, records, acknowledgements)
            except BaseException:
                self._spool.keep_of_oldest(_unacknowledged(records, acknowledgements))
                raise
            self._spool.forget_oldest()
            return
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
        self._sending = len(batch)
        try:
            await self._attempt(kafka, batch, acknowledgements)
        except BaseException:
            self._waiting.extendleft(reversed(_unacknowledged(batch, acknowledgements)))
            raise
        finally:
            self._sending = 0

    async def _attempt(
        self, kafka: AIOKafkaProducer, records: Sequence[Waiting], acknowledgements: "list[asyncio.Future[object]]"
    ) -> None:
        """Fills in the acknowledgements, which are of the first records where it did not come to send all."""
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(DELIVERY_S):
                stamp = b',"sent_ms":%d}' % self._clock()
                for one in records:
                    sent = await kafka.send(one.topic, one.body + stamp, one.key.encode())
                    acknowledgements.append(sent)
                await asyncio.gather(*acknowledgements)
        finally:
            self.published += sum(map(_acknowledged, acknowledgements))
            # Nobody waits for the others any more; asyncio would complain of what they fail with.
            for acknowledgement in acknowledgements:
                acknowledgement.add_done_callback(_forget)
        if self.on_delivered is not None:
            self.on_delivered(asyncio.get_running_loop().time() - started)

    def _keep(self) -> None:
        """Moves what waits in memory to disk, where there is a spool."""
        if self._spool is None or not self._waiting:
            return
        records = list(self._waiting)
        try:
            self._spool.append(records)
        except OSError as error:
            # Nothing of it is safe, so nothing is told to be: it stays in memory, bounded.
            _LOG.error("The spool cannot be written: %s", error)
            while len(self._waiting) > MAX_IN_MEMORY:
                self._waiting.popleft()
                self.lost += 1
            return
        self._waiting.clear()
        self._settled.set()

    async def _connected(self) -> AIOKafkaProducer:
        if self._kafka is None:
            client = producer(self._config, request_timeout_ms=int(DELIVERY_S * 1000))
            try:
                async with asyncio.timeout(DELIVERY_S):
                    await client.start()
            except BaseException:
                await client.stop()
                raise
            self._kafka = client
        return self._kafka

    async def _reconnect_later(self) -> None:
        """Forgets the connection: what it still holds must not arrive after what is sent again."""
        kafka, self._kafka = self._kafka, None
        if kafka is not None:
            await close(kafka, within_s=0.0)
        # New records must not wait for the pause to reach the disk.
        deadline = asyncio.get_running_loop().time() + RETRY_S
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()
            self._keep()


def _acknowledged(sent: "asyncio.Future[object]") -> bool:
    return sent.done() and not sent.cancelled() and sent.exception() is None


def _unacknowledged(records: Sequence[Waiting], acknowledgements: "Sequence[asyncio.Future[object]]") -> list[Waiting]:
    tried = zip(records, acknowledgements, strict=False)
    return [*(one for one, sent in tried if not _acknowledged(sent)), *records[len(acknowledgements) :]]


def _forget(acknowledgement: "asyncio.Future[object]") -> None:
    if not acknowledgement.cancelled():
        acknowledgement.exception()
