"""The publisher with a broker that is away, goes away, comes back or hangs: what it acknowledged arrives, in order."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from connect import publisher as module
from connect.config import KafkaConfig
from connect.kafka import producer
from connect.publisher import Publisher
from connect.spool import Spool
from schemas.errors import BadSettings, BrokerUnavailable
from schemas.samples import SampleRecord
from schemas.topics import SAMPLES
from tests.connect.conftest import Broker, eventually
from tests.ports import free_ports

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(60)]

FIELDS = {"samples": [{"metric": "load", "value": 1.0}]}
STOP_S = 5.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def short_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts that a broker in the same machine would long have answered."""
    monkeypatch.setattr(module, "DELIVERY_S", 1.0)


@asynccontextmanager
async def publishing(config: KafkaConfig, spool: Spool | None) -> AsyncIterator[Publisher]:
    """A started publisher, stopped at the end."""
    publisher = Publisher(config, source="host-1", clock=now_ms, spool=spool, patience_s=1.0)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop(STOP_S)
        if spool is not None:
            spool.close()


async def publish(publisher: Publisher, count: int) -> None:
    for _ in range(count):
        await publisher.publish(SAMPLES.name, "host-1", FIELDS, now_ms())


async def seqs(broker: Broker) -> list[int]:
    """Sequence numbers in the order of the log: all records have one key, so they stand in one partition."""
    return [record["seq"] for record in await broker.values()]


async def test_records_wait_on_disk_while_the_broker_is_away_at_the_start(broker_at: Broker, tmp_path: Path) -> None:
    async with publishing(broker_at.config, Spool(tmp_path / "spool", max_bytes=1 << 20)) as publisher:
        await publish(publisher, 30)
        await publisher.flush()
        assert publisher.spooled == 30
        on_disk = b"".join(path.read_bytes() for path in (tmp_path / "spool").glob("*.spool"))
        assert [on_disk.count(b'"seq":%d,' % seq) for seq in range(30)] == [1] * 30
        await broker_at.up()
        await eventually(lambda: delivered(publisher, 30))
        records = await broker_at.values()
    assert [record["seq"] for record in records] == list(range(30))
    assert all(SampleRecord.model_validate(record) for record in records)
    assert len({record["boot"] for record in records}) == 1


async def delivered(publisher: Publisher, count: int) -> bool:
    return publisher.published == count and not publisher.spooled


async def test_what_a_process_left_in_the_spool_is_sent_by_the_next_one_first(
    broker_at: Broker, tmp_path: Path
) -> None:
    async with publishing(broker_at.config, Spool(tmp_path / "spool", max_bytes=1 << 20)) as before:
        await publish(before, 3)
    await broker_at.up()
    async with publishing(broker_at.config, Spool(tmp_path / "spool", max_bytes=1 << 20)) as after:
        await publish(after, 2)
        await eventually(lambda: delivered(after, 5))
        assert await seqs(broker_at) == [0, 1, 2, 0, 1]


@pytest.mark.usefixtures("short_attempts")
async def test_nothing_acknowledged_is_lost_or_doubled_when_the_broker_goes_and_comes_back(
    broker_at: Broker, tmp_path: Path
) -> None:
    await broker_at.up()
    async with publishing(broker_at.config, Spool(tmp_path / "spool", max_bytes=1 << 20)) as publisher:
        await publish(publisher, 100)
        await publisher.flush()
        assert await seqs(broker_at) == list(range(100))
        for first in (100, 200):
            broker_at.down()
            await publish(publisher, 100)
            await publisher.flush()
            assert publisher.spooled == 100
            await broker_at.up()
            await eventually(partial(delivered, publisher, first + 100))
            assert await seqs(broker_at) == list(range(first, first + 100))
        await publish(publisher, 10)
        await publisher.flush()
        assert await seqs(broker_at) == list(range(200, 310))
        assert publisher.lost == 0


@pytest.mark.usefixtures("short_attempts")
async def test_a_broker_that_hangs_gets_everything_when_it_goes_on_and_no_connection_is_left_behind(
    broker_at: Broker, tmp_path: Path
) -> None:
    await broker_at.up()
    async with publishing(broker_at.config, Spool(tmp_path / "spool", max_bytes=1 << 20)) as publisher:
        await publish(publisher, 10)
        await publisher.flush()
        connected = len(asyncio.all_tasks())
        broker_at.freeze()
        await publish(publisher, 10)
        await publisher.flush()
        assert publisher.spooled == 10
        await eventually(lambda: tasks_are_at_most(connected))
        broker_at.thaw()
        await eventually(lambda: delivered(publisher, 20))
        await publish(publisher, 10)
        await publisher.flush()
        arrived = await seqs(broker_at)
        assert list(dict.fromkeys(arrived)) == list(range(30))
        await eventually(lambda: tasks_are_at_most(connected))


async def tasks_are_at_most(count: int) -> bool:
    return len(asyncio.all_tasks()) <= count


async def test_a_full_spool_drops_the_oldest_counts_them_and_replays_the_rest_in_order(
    broker_at: Broker, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=20_000, segment_bytes=2_000)
    async with publishing(broker_at.config, spool) as publisher:
        for _ in range(300):
            await publish(publisher, 1)
            await publisher.flush()
        assert 0 < spool.dropped < 300
        assert publisher.spooled == 300 - spool.dropped
        assert spool.size_bytes <= 20_000
        await broker_at.up()
        await eventually(lambda: delivered(publisher, 300 - spool.dropped))
        assert await seqs(broker_at) == list(range(spool.dropped, 300))


@pytest.mark.parametrize("listening", [False, True], ids=["refused", "never answered"])
async def test_stop_keeps_its_deadline_with_the_broker_away_and_everything_is_on_disk(
    tmp_path: Path, listening: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1] if listening else free_ports()
        spool = Spool(tmp_path / "spool", max_bytes=1 << 20)
        publisher = Publisher(
            KafkaConfig(bootstrap=f"127.0.0.1:{port}", idempotent=False), source="host-1", clock=now_ms, spool=spool
        )
        await publisher.start()
        await publish(publisher, 20)
        began_s = time.monotonic()
        await publisher.stop(1.0)
        assert time.monotonic() - began_s < 2.0
        assert len(spool) == 20
        spool.close()


async def test_stop_keeps_its_deadline_with_a_broker_that_hangs(broker_at: Broker, tmp_path: Path) -> None:
    await broker_at.up()
    spool = Spool(tmp_path / "spool", max_bytes=1 << 20)
    publisher = Publisher(broker_at.config, source="host-1", clock=now_ms, spool=spool)
    await publisher.start()
    await publish(publisher, 1)
    await publisher.flush()
    others = asyncio.all_tasks()
    broker_at.freeze()
    await publish(publisher, 20)
    began_s = time.monotonic()
    await publisher.stop(1.5)
    assert time.monotonic() - began_s < 2.5
    assert len(spool) == 20
    spool.close()
    assert asyncio.all_tasks() <= others
    broker_at.thaw()


@pytest.mark.parametrize("away_first", [False, True], ids=["from memory", "from the spool"])
async def test_what_was_acknowledged_before_an_attempt_failed_is_not_sent_again(
    broker_at: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away_first: bool
) -> None:
    attempts = count(1)

    def failing_once(config: KafkaConfig, **options: Any) -> AIOKafkaProducer:
        client = producer(config, **options)
        send = client.send

        async def sending(*record: Any) -> Any:
            if next(attempts) == 6:
                await client.flush()
                raise KafkaError("planted")
            return await send(*record)

        client.send = sending
        return client

    monkeypatch.setattr(module, "producer", failing_once)
    await broker_at.up()
    if away_first:
        broker_at.down()
    async with publishing(broker_at.config, Spool(tmp_path / "spool", max_bytes=1 << 20)) as publisher:
        await publish(publisher, 10)
        await publisher.flush()
        if away_first:
            assert publisher.spooled == 10
            await broker_at.up()
        await eventually(lambda: delivered(publisher, 10))
    assert await seqs(broker_at) == list(range(10))


async def test_without_a_spool_flush_gives_up_and_says_where_the_broker_should_be() -> None:
    config = KafkaConfig(bootstrap=f"127.0.0.1:{free_ports()}", idempotent=False)
    async with publishing(config, None) as publisher:
        await publish(publisher, 1)
        with pytest.raises(BrokerUnavailable, match=config.bootstrap):
            await publisher.flush()
        await publish(publisher, module.MAX_IN_MEMORY - 1)
        with pytest.raises(BrokerUnavailable, match="10000 records wait"):
            await publish(publisher, 1)


async def test_a_spool_folder_that_another_process_holds_is_refused_until_it_ends(tmp_path: Path) -> None:
    code = "import pathlib, sys; from connect.spool import Spool; s = Spool(pathlib.Path(sys.argv[1]), max_bytes=9);"
    code += "print('held', flush=True); sys.stdin.read()"
    root = Path(__file__).parents[2]
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path), stdin=pipe, stdout=pipe, cwd=root
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"held\n"
    with pytest.raises(BadSettings, match="in use by another process"):
        Spool(tmp_path, max_bytes=1 << 20)
    other.kill()
    await other.communicate()
    Spool(tmp_path, max_bytes=1 << 20).close()
