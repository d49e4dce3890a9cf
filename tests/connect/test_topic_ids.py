"""The incarnation of a topic: told by Kafka, or by a setting, and watched while the topic is read."""

import asyncio
import logging

import pytest
import pytest_asyncio

from connect.admin import client, create_topics
from connect.config import KafkaConfig
from connect.topic_ids import TopicReplaced, _Metadata, _MetadataStruct, topic_epochs, watch_epochs
from schemas.errors import BadSettings, BrokerUnavailable
from schemas.topics import LOGS, SAMPLES
from tests.connect.conftest import Broker, delete_all, eventually
from tests.ports import free_ports

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]
LOOK_S = 0.2


class NewerThanAny(_MetadataStruct):
    """A question in a version that no broker knows, as ours is to a broker that is older than topic ids."""

    API_VERSION = 30_000


@pytest_asyncio.fixture
async def topics(apache_kafka: KafkaConfig) -> KafkaConfig:
    """Apache Kafka with two of our topics, made just now."""
    await delete_all(apache_kafka)
    await create_topics(apache_kafka, [SAMPLES, LOGS])
    return apache_kafka


@pytest.mark.apache_kafka
async def test_every_topic_has_an_id_that_stays_and_one_that_is_made_again_has_another(topics: KafkaConfig) -> None:
    names = (SAMPLES.name, LOGS.name)
    before = await topic_epochs(topics, names)
    assert before == await topic_epochs(topics, names)
    assert len(set(before.values())) == len(names)
    assert all(len(ident) == 32 and int(ident, 16) for ident in before.values())
    await replace(topics, LOGS.name)
    after = await topic_epochs(topics, names)
    assert after[SAMPLES.name] == before[SAMPLES.name]
    assert after[LOGS.name] != before[LOGS.name]


@pytest.mark.apache_kafka
async def test_a_topic_that_is_missing_is_named_with_the_remedy(topics: KafkaConfig) -> None:
    with pytest.raises(BadSettings, match=r"has no topic alerts, control: .*`watchkeeper topics create`"):
        await topic_epochs(topics, [LOGS.name, "alerts", "control"])


async def test_a_broker_that_tells_no_ids_asks_for_the_setting(
    kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_topics(kafka, [LOGS])
    assert set(await topic_epochs(kafka, [LOGS.name])) == {LOGS.name}
    monkeypatch.setattr(_Metadata, "_CLASSES", (NewerThanAny,))
    with pytest.raises(BadSettings, match=r"tells no topic ids.*WATCHKEEPER_EPOCH"):
        await topic_epochs(kafka, [LOGS.name])


async def test_what_a_setting_fixes_is_not_asked_for() -> None:
    nowhere = KafkaConfig(bootstrap=f"127.0.0.1:{free_ports()}")
    assert await topic_epochs(nowhere, ["a", "b"], fixed="e1") == {"a": "e1", "b": "e1"}
    with pytest.raises(BrokerUnavailable):
        await topic_epochs(nowhere, ["a"])


@pytest.mark.apache_kafka
async def test_a_topic_that_is_made_again_while_it_is_read_is_noticed(topics: KafkaConfig) -> None:
    known = await topic_epochs(topics, [SAMPLES.name, LOGS.name])
    watching = asyncio.create_task(watch_epochs(topics, known, every_s=LOOK_S))
    await asyncio.wait({watching}, timeout=3 * LOOK_S)
    assert not watching.done()
    await replace(topics, LOGS.name)
    with pytest.raises(TopicReplaced, match=r"Topic logs was deleted( and created again)? while it was read"):
        await watching


@pytest.mark.apache_kafka
async def test_a_topic_that_is_deleted_is_noticed(topics: KafkaConfig) -> None:
    known = await topic_epochs(topics, [SAMPLES.name, LOGS.name])
    async with client(topics) as admin:
        await admin.delete_topics([LOGS.name])
    with pytest.raises(TopicReplaced, match="Topic logs was deleted while it was read"):
        await watch_epochs(topics, known, every_s=LOOK_S)


@pytest.mark.apache_kafka
async def test_a_broker_that_is_away_for_a_while_is_no_replacement(
    own_kafka: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    await own_kafka.up()
    known = await topic_epochs(own_kafka.config, [SAMPLES.name, LOGS.name])
    watching = asyncio.create_task(watch_epochs(own_kafka.config, known, every_s=LOOK_S))
    own_kafka.kill()

    async def missed() -> bool:
        return "Topic ids are not known now" in caplog.text

    with caplog.at_level(logging.DEBUG, logger="connect.topic_ids"):
        await eventually(missed)
    await own_kafka.up()
    await asyncio.wait({watching}, timeout=5 * LOOK_S)
    assert not watching.done()
    watching.cancel()


async def replace(config: KafkaConfig, name: str) -> None:
    """Deletes a topic and makes it again."""
    async with client(config) as admin:
        await admin.delete_topics([name])
    topic = {LOGS.name: LOGS, SAMPLES.name: SAMPLES}[name]

    async def made() -> bool:
        return await create_topics(config, [topic]) == [name]

    await eventually(made)
