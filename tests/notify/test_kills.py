"""A notifier that ends at every point of its work loses no change of an alert, and repeats none under another id."""

from pathlib import Path

import pytest

from connect.config import KafkaConfig
from tests.notify.crashing import Point
from tests.notify.kills import killed

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_nothing_is_lost_and_nothing_told_twice_wherever_it_ends(kafka: KafkaConfig, tmp_path: Path) -> None:
    seen = await killed(kafka, tmp_path, rounds=1)
    assert set(seen.kills) == {point.value for point in Point}
    assert (seen.changes, seen.lost, seen.double) == (14, [], [])
    assert (len(seen.incidents), seen.odd) == (7, [])
    # It was sent again where it had been taken already: the receiver knows it by its id.
    assert seen.repeats >= 2
