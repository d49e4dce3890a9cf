"""Whether the rows that were published are exactly what the input must have become."""

import math
from collections.abc import Mapping

from benchmarks import stream
from connect import offsets
from connect.config import KafkaConfig
from connect.reader import TopicReader
from schemas.rollup_wire import decode_rollups
from schemas.topics import ROLLUPS
from tests.agents.pipeline import Rollups
from tests.chaos.oracle import Key, Total, plain_fold

Totals = Mapping[Key, Total]

SUM_TOLERANCE = 1e-9
"""Sums of the same values in another order differ in their last digits."""


class Mismatch(Exception):  # noqa: N818
    """The worker published something else than the input is worth. No figure of such a run counts."""


def expected(load: stream.Load) -> Totals:
    """The plain fold of the whole input, made anew: not read from where the worker read it."""
    return plain_fold(one.value for _, values in stream.seconds(load) for one in values)


async def published(config: KafkaConfig, *, since: Mapping[int, int]) -> Rollups:
    """What stands in `metrics.rollups` from these offsets on, reduced as every reader must."""
    ends = await offsets.end_offsets(config, [ROLLUPS.name])
    found = Rollups()
    async with TopicReader(config, ROLLUPS.name, offsets=since) as reader:
        while any(reader.positions.get(number, 0) < end for (_, number), end in ends.items() if end):
            for chunk in await reader.read():
                for record in chunk.records:
                    found.add(decode_rollups(record.value))
    return found


def compare(wanted: Totals, found: Totals) -> None:
    """Holds every series and window against the plain fold.

    Raises:
        Mismatch: With the first difference.
    """
    if wanted.keys() != found.keys():
        missing, extra = len(wanted.keys() - found.keys()), len(found.keys() - wanted.keys())
        raise Mismatch(f"of {len(wanted)} series and windows {missing} are missing, and {extra} are too many")
    for key, one in wanted.items():
        two = found[key]
        same = (one.n, one.h_sum, one.h_xor) == (two.n, two.h_sum, two.h_xor)
        if not same or not math.isclose(one.total, two.total, rel_tol=SUM_TOLERANCE, abs_tol=SUM_TOLERANCE):
            raise Mismatch(f"series {key[0]:016x}, window {key[1]}: {two} was published, {one} is right")


async def check(config: KafkaConfig, wanted: Totals, *, since: Mapping[int, int]) -> None:
    """Reads what one round published, and compares.

    Raises:
        Mismatch: When it is not exact, or when two rows of one identity and version differ.
    """
    found = await published(config, since=since)
    if found.conflicts:
        raise Mismatch(f"{len(found.conflicts)} rows differ from others of their identity and version")
    compare(wanted, found.totals())
