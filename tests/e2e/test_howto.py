"""The how-to pages on a running instance: every command of them works, and does what the page says."""

import asyncio
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from connect.config import KafkaConfig
from connect.kafka import producer
from connect.outbox import Message, Outbox
from tests.e2e.running import Running, eventually, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

DOCS = Path(__file__).parent.parent.parent / "docs"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """The commands of a page's examples, in order."""
    lines = [line for block in BLOCK.findall((DOCS / page).read_text()) for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("watchkeeper ")]


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("howto")
    (folder / "data").mkdir()
    # A replay decides whole segments.
    (folder / "data" / "watchkeeper.toml").write_text("[process]\nsegment_ms = 20000\n")
    with running(folder / "data", folder / "up.log") as started:
        yield started
        assert started.stop() == 0, started.tail()


def send(instance: Running, *values: bytes) -> None:
    """Writes records as a producer without our checks."""

    async def deliver() -> None:
        at = instance.status()["addresses"]["kafka"]
        client = producer(KafkaConfig(bootstrap=at, idempotent=False))
        await client.start()
        try:
            await Outbox(client).deliver(Message("metrics.samples", b"web-1", value, 0) for value in values)
        finally:
            await client.stop()

    asyncio.run(deliver())


def letters(instance: Running) -> list[dict[str, object]]:
    listed = instance.ask("deadletters", "list", "--json")
    return [json.loads(line) for line in listed.splitlines() if line.startswith("{")]


def test_dead_letters_are_seen_and_sent_again_and_what_is_bad_again_gets_a_letter_of_its_own(instance: Running) -> None:
    send(instance, b"not json", b"nor is this")
    eventually("both letters", lambda: len(letters(instance)) == 2, within_s=30)
    shown, sent = [one for one in commands("deadletters.md") if one[1] == "redrive"]
    for command in commands("deadletters.md"):
        if command not in (shown, sent):
            instance.ask(*command)

    assert "nothing was sent: this was a preview; --yes sends" in instance.ask(*shown)
    assert "2 records sent" in instance.ask(*sent)
    found = eventually("letters of their own", lambda: four(letters(instance)), within_s=30)
    assert len({letter["offset"] for letter in found}) == 4
    assert [letter["redriven_by"] != "" for letter in sorted(found, key=lambda one: str(one["refused_ms"]))] == [
        *(True, True),
        *(False, False),
    ]
    only = [f"--id=metrics.samples-0-{letter['offset']}" for letter in found if letter["redriven_by"]]
    assert "0 records sent" in instance.ask("deadletters", "redrive", "--yes", *only)


def four(found: list[dict[str, object]]) -> list[dict[str, object]]:
    """Those letters, once there are four and two of them are marked."""
    return found if len(found) == 4 and sum(bool(one["redriven_by"]) for one in found) == 2 else []


def test_the_past_is_replayed_through_other_rules_and_other_windows(instance: Running, tmp_path: Path) -> None:
    # A range is of the log's time, which may begin later than that of the first samples.
    known = "SELECT dateDiff('second', min(at), max(at)) >= 80 AS enough FROM watchkeeper_store.arrivals WHERE timed"
    eventually("enough of the log", lambda: instance.rows(known)[:1] == [{"enough": 1}] or None, within_s=120)
    rules = tmp_path / "stricter.yaml"
    rules.write_text(
        "version: 1\nrules:\n  - {id: up, kind: threshold, metric: system.memory.usage, aggregate: max, warning: 1}\n"
    )
    answers = {}
    for command in commands("replay.md"):
        answers[" ".join(command)] = instance.ask(*(str(rules) if part == rules.name else part for part in command))
    again, stricter, minutes, listed, asked, dropped = answers.values()
    assert "transitions: 0 equal, 0 only live, 0 only in the replay" not in stricter
    for told in (again, minutes):
        assert ", 0 different, 0 missing, 0 only in the replay" in told
    assert {line.split("\t")[0] for line in listed.splitlines()} == {"name", "again", "stricter", "minutes"}
    assert "firing" in asked
    assert dropped == "dropped replay minutes\n"


def test_rules_are_played_over_what_the_instance_has_recorded(instance: Running) -> None:
    known = "SELECT count() AS hours FROM watchkeeper_store.rollups_1h"
    eventually("an hour's rows", lambda: int(instance.rows(known)[0]["hours"]) or None, within_s=60)
    answers = [
        instance.ask(*(str(DOCS.parent / part) if part.startswith("examples/") else part for part in command))
        for command in commands("backtests.md")
    ]
    month, labelled, exact = answers
    assert "windows of 1m; recorded: " in month
    assert "against 0 incidents" in labelled
    assert json.loads(exact)["window_ms"] == 10_000
