"""Ids of topics: what tells one incarnation of a topic from the next one of the same name.

aiokafka's own requests are older than topic ids (KIP-516), so the one that carries them stands here, after the message
definitions of Apache Kafka: Metadata, version 12.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from connect.admin import client
from connect.config import KafkaConfig
from schemas.errors import BadSettings, BrokerUnavailable, PermanentError

_LOG = logging.getLogger(__name__)

NEWS_S = 3.0
"""How long a node may take to hear of a topic that was just created."""

LOOK_S = 0.05
_NAME = CompactString("utf-8")
_NO_ID = UUID(int=0)


class TopicReplaced(PermanentError):  # noqa: N818
    """A topic is another one than at the start. The process must begin anew."""


class _Uuid:
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: Any) -> UUID:
        return UUID(bytes=data.read(16))


class _MetadataResponse(Response):  # type: ignore[misc]  # the client ships no types for it
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("node", Int32), ("host", _NAME), ("port", Int32), ("rack", _NAME), ("_", TaggedFields)),
        ),
        ("cluster", _NAME),
        ("controller", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _NAME),
                ("id", _Uuid),
                ("internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("number", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("in_sync", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("_", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("_", TaggedFields),
            ),
        ),
        ("_", TaggedFields),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("id", _Uuid), ("name", _NAME), ("_", TaggedFields))),
        ("may_create", Boolean),
        ("want_operations", Boolean),
        ("_", TaggedFields),
    )


class _Metadata(Request[_MetadataStruct]):  # type: ignore[misc]
    API_KEY: ClassVar[int] = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics: list[tuple[UUID, str, dict[int, bytes]]] = [(_NO_ID, name, {}) for name in topics]

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        return request_struct_class(self._topics, False, False, {})


async def topic_epochs(config: KafkaConfig, topics: Iterable[str], *, fixed: str = "") -> dict[str, str]:
    """What tells each topic's incarnation from others: its id, as 32 hexadecimal digits, or what a setting fixes.

    Raises:
        BadSettings: The broker knows no topic ids, or a topic is missing.
        BrokerUnavailable: It does not answer.
    """
    names = tuple(topics)
    if fixed:
        return dict.fromkeys(names, fixed)
    found: dict[str, str] = {}
    async with client(config) as admin:
        with suppress(TimeoutError):
            async with asyncio.timeout(NEWS_S):
                while len(found := await _ids(admin, config, names)) < len(names):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_S)
    missing = [name for name in names if name not in found]
    if missing:
        raise BadSettings(
            f"Kafka at {config.bootstrap} has no topic {', '.join(missing)}: create what is missing with"
            " `watchkeeper topics create`"
        )
    return found


async def _ids(admin: AIOKafkaAdminClient, config: KafkaConfig, names: tuple[str, ...]) -> dict[str, str]:
    try:
        answer = await admin._client.send(admin._client.get_random_node(), _Metadata(names))
    except NotImplementedError:
        raise BadSettings(
            f"Kafka at {config.bootstrap} tells no topic ids, so one incarnation of a topic is not known from the next."
            " Set WATCHKEEPER_EPOCH to a name of your choice, the same for every process, and to another one when the"
            " topics are created anew"
        ) from None
    return {name: ident.hex for error, name, ident, *_ in answer.topics if not error and ident != _NO_ID}


async def watch_epochs(config: KafkaConfig, known: Mapping[str, str], *, every_s: float) -> None:
    """Looks again and again whether the topics are those of the start; while Kafka is away, they are taken to be.

    Raises:
        TopicReplaced: A topic was deleted, or deleted and created again: offsets begin anew, and positions, rows and
            states of before are of another log.
    """
    missing: set[str] = set()
    while True:
        await asyncio.sleep(every_s)
        try:
            async with asyncio.timeout(every_s), client(config) as admin:
                now = await _ids(admin, config, tuple(known))
        except (BrokerUnavailable, TimeoutError) as error:
            _LOG.debug("Topic ids are not known now: %s", error)
            continue
        for name, ident in now.items():
            if ident != known[name]:
                raise _replaced(name, "deleted and created again")
        # Once may be a broker that has just started and has not heard of it yet.
        for name in missing - now.keys():
            raise _replaced(name, "deleted")
        missing = known.keys() - now.keys()


def _replaced(name: str, how: str) -> TopicReplaced:
    return TopicReplaced(
        f"Topic {name} was {how} while it was read: what it held and was not read is lost; this process begins anew"
    )
