"""One run of the worker on a log that stands there, and whether what it published is exact."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from rich.progress import Progress

from benchmarks import exact, stream
from benchmarks.services import told_by
from connect import offsets
from connect.config import KafkaConfig
from schemas.topics import ROLLUPS, SAMPLES

ROUND_S = 600.0
MILLION = 1_000_000

Ends = Mapping[int, int]
"""Of each partition, the offset behind its last record."""


async def fill(kafka: KafkaConfig, load: stream.Load, progress: Progress, *, what: str, topic: str = "") -> Ends:
    """Writes a log.

    Args:
        what: Of which benchmark, for the screen.
        topic: `metrics.samples` where it is empty.
    """
    topic = topic or SAMPLES.name
    task = progress.add_task(f"{what}: the input", total=load.total // load.samples_per_record)
    await stream.fill(kafka, topic, load, advance=lambda records: progress.update(task, advance=records))
    return {number: end for (_, number), end in (await offsets.end_offsets(kafka, [topic])).items()}


async def ours(kafka: KafkaConfig, group: str, ends: Ends, wanted: exact.Totals) -> dict[str, Any]:
    """What the worker tells of itself, see `benchmarks.worker`.

    Raises:
        Mismatch: What it published is not exact.
        ProgramFailed: It ended without its figures.
    """
    (told,) = await together(kafka, group, ends, wanted, workers=1)
    return told


async def together(
    kafka: KafkaConfig, group: str, ends: Ends, wanted: exact.Totals, *, workers: int
) -> list[dict[str, Any]]:
    """What each of some workers tells that share the partitions.

    Args:
        group: A consumer group that has no commits.

    Raises:
        Mismatch: What it published is not exact.
        ProgramFailed: It ended without its figures.
    """
    since = await published(kafka)
    options = {"bootstrap": kafka.bootstrap, "idempotent": kafka.idempotent, "group": group, "ends": ends}
    asked = json.dumps(options | {"workers": workers})
    told = await asyncio.gather(*(told_by("benchmarks.worker", asked, within_s=ROUND_S) for _ in range(workers)))
    await exact.check(kafka, wanted, since=since)
    return told


async def published(kafka: KafkaConfig) -> Ends:
    """Where `metrics.rollups` ends now."""
    return {number: end for (_, number), end in (await offsets.end_offsets(kafka, [ROLLUPS.name])).items()}
