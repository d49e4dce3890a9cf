"""`watchkeeper topics`: what stands on the brokers."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from connect import admin, offsets
from connect.config import KafkaConfig
from schemas.topics import BY_NAME, TOPICS
from watchkeeper import addresses
from watchkeeper.commands.output import json_lines, table
from watchkeeper.settings import Settings
from watchkeeper.sources import Nested, load

READY_S = 30.0


def partitions(settings: Settings) -> dict[str, int]:
    """How many partitions each topic gets when it is created."""
    return {topic.name: settings.kafka.partitions.get(topic.name, topic.partitions) for topic in TOPICS}


def create(arguments: Nested, config: Path | None) -> None:
    """Creates the topics that are missing; those that exist are left as they are."""
    loaded = load(arguments, config=config)
    created = asyncio.run(ready_topics(addresses.kafka_config(loaded), partitions(loaded.settings)))
    print(f"created {', '.join(created)}" if created else "every topic is there already")


async def ready_topics(kafka: KafkaConfig, counts: Mapping[str, int]) -> list[str]:
    """Waits for the brokers, and creates the topics that are missing; their names."""
    await admin.wait_until_ready(kafka, READY_S)
    return await admin.create_topics(kafka, TOPICS, partitions=counts)


def show(arguments: Nested, config: Path | None, *, as_json: bool) -> None:
    """Prints the topics."""
    kafka = addresses.kafka_config(load(arguments, config=config))
    found, ends = asyncio.run(_look(kafka))
    rows = [
        {
            "topic": name,
            "partitions": count,
            "end_offsets": sum(end for (topic, _), end in ends.items() if topic == name),
            "title": BY_NAME[name].title if name in BY_NAME else "",
        }
        for name, count in sorted(found.items())
    ]
    if as_json:
        json_lines(rows)
        return
    cells = [tuple(str(value) for value in row.values()) for row in rows]
    table(
        ("topic", "partitions", "records so far", "holds"),
        cells,
        empty="there are no topics: `watchkeeper topics create`",
    )


async def _look(kafka: KafkaConfig) -> tuple[Mapping[str, int], Mapping[tuple[str, int], int]]:
    found = await admin.list_topics(kafka)
    return found, await offsets.end_offsets(kafka, found)
