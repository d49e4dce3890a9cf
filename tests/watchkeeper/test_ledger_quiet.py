"""What the ledger says where nothing is lost: all of it balances, and what cannot be judged is told."""

import asyncio
from collections.abc import Iterator

import pytest

from connect.config import ClickHouseConfig
from tests.sinks.running import EPOCH
from tests.sinks.stored import START_MS
from tests.watchkeeper.faulty_run import LENGTH_MS, MINUTE_MS, Written
from tests.watchkeeper.quiet_run import PARTITIONS, Quiet, emptied
from watchkeeper.ledger import Ledger, Question


@pytest.fixture(scope="module")
def quiet(clickhouse: ClickHouseConfig) -> Iterator[Quiet]:
    """One for all tests that change nothing."""
    store = emptied(clickhouse)
    yield Quiet(store)
    store.close()


def test_where_nothing_is_lost_everything_is_judged_and_nothing_found(quiet: Quiet) -> None:
    report = quiet.ask()
    assert report.findings == []
    assert len(report.judged) == PARTITIONS
    assert report.unjudged == {}


def test_what_kafka_keeps_no_more_is_not_judged_and_the_rest_is(quiet: Quiet) -> None:
    place = ("metrics.samples", 1)
    report = quiet.ask(gone={place: 301})
    assert report.findings == []
    [(reason, places)] = report.unjudged.items()
    assert "Kafka keeps no more" in reason
    assert places.keys() == {place}
    [judged] = [one for one in report.judged if one.place == place]
    assert judged.from_ms == places[place] > START_MS + MINUTE_MS
    assert judged.to_ms >= START_MS + LENGTH_MS


def test_before_the_present_incarnation_of_a_topic_nothing_is_judged(quiet: Quiet) -> None:
    report = quiet.ask(from_ms=START_MS - 10 * MINUTE_MS)
    assert report.findings == []
    [(reason, places)] = report.unjudged.items()
    assert "present incarnation" in reason
    assert set(places.values()) == {START_MS}
    assert len(places) == len(report.judged) == PARTITIONS


def test_what_came_to_a_topic_that_is_not_read_is_not_missing(quiet: Quiet) -> None:
    epochs = {"metrics.samples": EPOCH}
    question = Question(
        topics=list(epochs), epochs=epochs, from_ms=START_MS, to_ms=START_MS + LENGTH_MS, rules=quiet.run.config
    )
    log = Written(quiet.run, quiet.rollups)
    log.ends = {place: end for place, end in log.ends.items() if place[0] in ("metrics.samples", "metrics.rollups")}
    report = asyncio.run(Ledger(log, quiet.store, question).report())
    assert report.findings == []
    assert len(report.judged) == 4
