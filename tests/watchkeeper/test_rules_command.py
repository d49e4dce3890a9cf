"""`watchkeeper rules`: what is in force, and how it is changed."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from connect.admin import create_topics, wait_until_ready
from connect.config import KafkaConfig
from operations.rules_file import default_rules, file_of, load_rules, parse_rules
from schemas.durations import duration, duration_ms
from schemas.topics import TOPICS
from watchkeeper.app import app

RULES = """
version: 1
rules:
  - id: queue
    kind: threshold
    metric: app.queue.depth
    group_by: [source, queue]
    aggregate: max
    over: 90s
    warning: 50
    for: 2m
    description: Füge einen Arbeiter hinzu.
  - {id: silent, kind: absence, metric: system.uptime, after: 1m}
  - {id: failing, kind: ratio, metric: http.requests, bad: {outcome: error}, critical: 0.1}
"""
Ask = Callable[..., Result]


@pytest.fixture
def ask(kafka: KafkaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Runs a command on a broker where nothing is in force."""

    async def topics() -> None:
        await wait_until_ready(kafka, 10.0)
        await create_topics(kafka, TOPICS)

    asyncio.run(topics())
    monkeypatch.setenv("WATCHKEEPER_KAFKA_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("WATCHKEEPER_KAFKA_IDEMPOTENT", str(kafka.idempotent))

    def invoke(*words: object, code: int = 0) -> Result:
        done = CliRunner().invoke(app, ["rules", *map(str, words)])
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return invoke


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def test_a_rule_is_shown_as_a_file_that_changes_nothing_when_it_is_applied(
    ask: Ask, file: Path, tmp_path: Path
) -> None:
    ask("apply", file)
    shown = ask("show", "queue").output
    first, second, *rest = shown.splitlines()
    assert first.startswith("# version 1, decided by ")
    assert second == "# fires at most 214 s after the threshold is crossed (14 s, over: 80 s more, for: 120 s)"
    assert "\n".join(rest) == (
        "version: 1\nrules:\n- id: queue\n  kind: threshold\n  description: Füge einen Arbeiter hinzu.\n"
        "  metric: app.queue.depth\n  group_by:\n  - source\n  - queue\n  over: 90s\n  warning: 50.0\n  for: 2m\n"
        "  aggregate: max"
    )
    again = tmp_path / "again.yaml"
    again.write_text(shown)
    assert ask("apply", again).output == "unchanged  queue\n"


def test_a_rule_is_turned_off_and_on_and_the_rest_of_it_stays(ask: Ask, file: Path) -> None:
    ask("apply", file)
    assert ask("disable", "queue").output == "queue is off\n"
    assert ask("disable", "queue").output == "queue was off already\n"
    assert "enabled: false" in ask("show", "queue").output
    assert ask("diff", file, code=1).output == "~ queue: enabled False => its default\n"
    assert ask("enable", "queue").output == "queue is on\n"
    assert ask("diff", file).output == "no difference\n"
    assert ask("show", "queue").output.startswith("# version 3")


def test_differences_are_told_field_by_field(ask: Ask, file: Path) -> None:
    assert ask("diff", file, code=1).output.splitlines() == [
        "+ queue: app.queue.depth max over 90 s above warning 50 for 120 s",
        "+ silent: no system.uptime for 60 s",
        "+ failing: http.requests with outcome=error of http.requests over 10 s above critical 0.1",
    ]
    ask("apply", file)
    (kept, _, failing) = RULES.split("  - {")
    file.write_text(kept.replace("for: 2m", "breaches: 2\n    windows: 3").replace("50", "60") + "  - {" + failing)
    assert ask("diff", file, code=1).output.splitlines() == [
        "~ queue: warning 50.0 => 60.0, for 2m => its default, breaches its default => 2, windows its default => 3",
        "- silent, with --prune",
    ]
    ask("apply", file, "--prune")
    listed = ask("list").output
    assert "app.queue.depth max over 90 s above warning 60 in 2 of 3 windows" in listed
    assert "silent" not in listed


def test_a_rule_that_there_is_not_is_told_with_those_that_there_are(ask: Ask, file: Path) -> None:
    for command in ("show", "disable", "enable"):
        assert str(ask(command, "other", code=1).exception) == "there is no rule other; there are none"
    ask("apply", file)
    ask("apply", file.with_name("none.yaml"), code=1)
    assert str(ask("show", "other", code=1).exception) == "there is no rule other; there are failing, queue, silent"


def test_every_default_rule_is_written_as_it_is_read() -> None:
    rules = default_rules().rules
    assert parse_rules(file_of(rules).encode(), "f").rules == rules


def test_the_rules_of_a_file_are_written_as_they_are_read(file: Path) -> None:
    rules = load_rules(file).rules
    assert parse_rules(file_of(rules).encode(), "f").rules == rules


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0s"), (1, "1ms"), (90_000, "90s"), (120_000, "2m"), (7_200_000, "2h"), (172_800_000, "2d")],
)
def test_durations_are_written_short(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text
    assert duration_ms(text) == milliseconds
