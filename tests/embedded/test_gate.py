"""The gate before the embedded broker: what passes, what waits, and that nothing acknowledged stays behind."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from connect.admin import create_topics
from connect.config import KafkaConfig
from connect.reader import TopicReader
from schemas.errors import BadSettings
from schemas.topics import SAMPLES
from tests.ports import free_ports
from watchkeeper.embedded.broker import EmbeddedBroker
from watchkeeper.embedded.gate import Gate
from watchkeeper.embedded.turns import TURN_S

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]

TOPIC, OURS = SAMPLES.name, "ours"
PATIENCE_S = 10.0
PRODUCERS, RECORDS = 4, 150
A_MOMENT_S = 0.3
"""So long nothing may happen, where nothing is to happen."""


class Passage:
    """A gate, and the broker behind it."""

    def __init__(self, folder: Path) -> None:
        self.port, self._behind = free_ports(), free_ports()
        self.gate = Gate(self.port, self._behind, {OURS})
        self._log = folder / "broker.log"
        self.broker = self._new()

    def _new(self) -> EmbeddedBroker:
        return EmbeddedBroker(self._behind, self._log, advertised=self.port)

    async def replace_broker(self) -> None:
        """The old one goes, another comes, and is told of the topic before anybody else may speak to it."""
        self.gate.shut()
        await asyncio.to_thread(self.broker.stop, 5.0)
        self.broker = self._new()
        await asyncio.to_thread(self.broker.start)
        await self.create_topic()

    async def freeze(self) -> None:
        """The broker answers nothing any more."""
        self._process.suspend()
        while self._process.status() != psutil.STATUS_STOPPED:  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.01)

    def thaw(self) -> None:
        """It goes on."""
        self._process.resume()

    @property
    def _process(self) -> psutil.Process:
        return psutil.Process(self.broker.pid)

    def config(self, name: str) -> KafkaConfig:
        """How a client of this name gets there."""
        return KafkaConfig(bootstrap=f"127.0.0.1:{self.port}", client_id=name, idempotent=False)

    async def create_topic(self) -> None:
        """As `watchkeeper prepare` does."""
        await create_topics(self.config(OURS), [SAMPLES], partitions={TOPIC: 1})

    @asynccontextmanager
    async def producer(self, name: str = "theirs", **options: object) -> AsyncIterator[AIOKafkaProducer]:
        """A plain producer."""
        client = AIOKafkaProducer(
            **{"bootstrap_servers": f"127.0.0.1:{self.port}", "client_id": name, "acks": "all", **options}
        )
        await client.start()
        try:
            yield client
        finally:
            await client.stop()

    async def log(self, name: str = OURS) -> list[bytes]:
        """Every record of the topic, as a client of this name reads it."""
        found: list[bytes] = []
        async with asyncio.timeout(PATIENCE_S), TopicReader(self.config(name), TOPIC) as reader:
            while not reader.caught_up():
                for _, records in await reader.read(timeout_s=0.2):
                    found += [record.value or b"" for record in records]
        return found


@pytest_asyncio.fixture
async def passage(tmp_path: Path) -> AsyncIterator[Passage]:
    passage = Passage(tmp_path)
    await asyncio.to_thread(passage.broker.start)
    await passage.gate.open()
    await passage.create_topic()
    passage.gate.release()
    yield passage
    await passage.gate.close()
    passage.broker.stop(5.0)


async def waits(sending: "asyncio.Task[object]") -> bool:
    """Whether it is not done for a moment."""
    done, _ = await asyncio.wait({sending}, timeout=A_MOMENT_S)
    return not done


async def test_small_and_large_records_pass_in_order_and_unchanged(passage: Passage) -> None:
    sent = [b"x", b"", os.urandom(1_000), os.urandom(3_000_000), *(b"%d" % number for number in range(500))]
    async with passage.producer(max_request_size=4_000_000) as producer:
        for acknowledgement in [await producer.send(TOPIC, value) for value in sent]:
            await acknowledgement
    assert await passage.log("theirs") == sent


async def test_what_others_send_while_they_are_held_is_acknowledged_by_the_new_broker_alone(passage: Passage) -> None:
    async with passage.producer() as theirs, passage.producer(OURS) as ours:
        await theirs.send_and_wait(TOPIC, b"before")
        await passage.gate.hold(PATIENCE_S)
        held = asyncio.create_task(theirs.send_and_wait(TOPIC, b"held"))
        assert await waits(held)
        await ours.send_and_wait(TOPIC, b"ours")
        assert await passage.log("theirs") == [b"before", b"ours"]
        await passage.replace_broker()
        assert await waits(held)
        passage.gate.release()
        async with asyncio.timeout(PATIENCE_S):
            await held
        assert await passage.log() == [b"held"]


async def test_holding_waits_until_the_broker_has_answered_what_it_has(passage: Passage) -> None:
    async with passage.producer() as theirs:
        await theirs.send_and_wait(TOPIC, b"before")
        await passage.freeze()
        sent = asyncio.create_task(theirs.send_and_wait(TOPIC, b"on its way"))
        assert await waits(sent)
        holding = asyncio.create_task(passage.gate.hold(PATIENCE_S))
        assert await waits(holding)
        passage.thaw()
        async with asyncio.timeout(PATIENCE_S):
            await holding
        assert await passage.log() == [b"before", b"on its way"]
        async with asyncio.timeout(PATIENCE_S):
            await sent


async def test_what_the_broker_does_not_answer_in_time_is_not_acknowledged(passage: Passage) -> None:
    async with passage.producer(request_timeout_ms=2_000, retry_backoff_ms=50) as theirs:
        await theirs.send_and_wait(TOPIC, b"before")
        await passage.freeze()
        sent = asyncio.create_task(theirs.send_and_wait(TOPIC, b"on its way"))
        assert await waits(sent)
        await passage.gate.hold(A_MOMENT_S)
        passage.thaw()
        with pytest.raises(KafkaError):
            await sent
        passage.gate.release()


async def test_records_that_want_no_answer_hold_nobody_up_for_long(passage: Passage) -> None:
    async with passage.producer(acks=0) as theirs:
        await theirs.send_and_wait(TOPIC, b"no answer")
        async with asyncio.timeout(PATIENCE_S):
            await passage.gate.hold(A_MOMENT_S)
        passage.gate.release()
        await theirs.send_and_wait(TOPIC, b"and on")
        assert await passage.log() == [b"no answer", b"and on"]


async def test_nobody_sees_a_record_before_those_that_stand_before_it(passage: Passage) -> None:
    async def send(name: str) -> None:
        async with passage.producer(name) as producer:
            for number in range(RECORDS):
                await producer.send_and_wait(TOPIC, bytes(10_000 if number % 2 else 100), partition=0)

    async def read() -> list[int]:
        found: list[int] = []
        async with TopicReader(passage.config("reader"), TOPIC) as reader:
            while len(found) < PRODUCERS * RECORDS:
                for _, records in await reader.read(timeout_s=0.2):
                    found += [record.offset for record in records]
                    # Without turns some are passed over here, and the rest is waited for in vain.
                    assert found[-1] + 1 == len(found)
        return found

    async with asyncio.TaskGroup() as group:
        for name in (OURS, *(f"producer-{number}" for number in range(1, PRODUCERS))):
            group.create_task(send(name))
        for _ in range(2):
            group.create_task(read())


async def test_whoever_stalls_with_records_holds_the_others_up_for_a_bounded_time(passage: Passage) -> None:
    async with passage.producer() as theirs:
        _, stalled = await asyncio.open_connection("127.0.0.1", passage.port)
        # The head of a produce request of 1,000 bytes, and acknowledgements of all; the rest never comes.
        stalled.write(struct.pack("!ihhih", 1_000, 0, 3, 1, -1) + struct.pack("!hh", -1, -1) + bytes(100))
        await stalled.drain()
        sending = asyncio.create_task(theirs.send_and_wait(TOPIC, b"x"))
        assert await waits(sending)
        async with asyncio.timeout(TURN_S + PATIENCE_S):
            await sending
        stalled.close()


async def test_while_it_is_shut_only_our_clients_are_served(passage: Passage) -> None:
    passage.gate.shut()
    async with passage.producer(OURS) as ours:
        await ours.send_and_wait(TOPIC, b"ours")
    reading = asyncio.create_task(passage.log("theirs"))
    assert await waits(reading)
    passage.gate.release()
    assert await reading == [b"ours"]


async def test_strangers_and_clients_that_go_in_the_middle_harm_nobody(passage: Passage) -> None:
    async with passage.producer() as theirs:
        for nonsense in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(14), b"\x00\x00\x10\x00" + bytes(20)):
            with socket.create_connection(("127.0.0.1", passage.port)) as stranger:
                stranger.sendall(nonsense)
        await theirs.send_and_wait(TOPIC, b"heard")
    await passage.gate.hold(A_MOMENT_S)
    passage.gate.release()
    assert await passage.log() == [b"heard"]


async def test_a_port_that_is_taken_is_refused_with_the_remedy(passage: Passage) -> None:
    with pytest.raises(BadSettings, match="--port-base N"):
        await Gate(passage.port, free_ports(), ()).open()
