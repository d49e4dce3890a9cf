"""`watchkeeper rules test`: files of promtool's shape, and what is said of them."""

from pathlib import Path
from textwrap import dedent, indent

import pytest
from typer.testing import CliRunner

from schemas.errors import BadSettings
from watchkeeper.app import app
from watchkeeper.rule_tests import run, series, values

EXAMPLES = Path(__file__).parents[2] / "examples" / "rules"
RULES = """
version: 1
rules:
  - {id: hot, kind: threshold, metric: m, aggregate: max, warning: 50, critical: 100, good_windows: 1}
  - {id: gone, kind: absence, metric: m, after: 20s}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a file of rules."""
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path


def written(folder: Path, tests: str, *, head: str = "rule_files: [rules.yaml]\ntests:\n") -> Path:
    path = folder / "tests.yaml"
    path.write_text(head + indent(dedent(tests).strip("\n"), "  ") + "\n")
    return path


SERIES = 'input_series: [{series: "m{source=\\"web\\"}", values: "60 120 1 _x9"}]'


def faults(folder: Path, alerts: str) -> list[str]:
    tests = f"- {SERIES}\n  alert_rule_test:\n{indent(dedent(alerts).strip(chr(10)), '  ')}\n"
    (verdict,) = run(written(folder, tests)).verdicts
    return list(verdict.faults)


def test_what_stands_as_expected_passes(folder: Path) -> None:
    expected = """
    - {eval_time: 10s, alertname: hot, exp_alerts: [{exp_labels: {source: web, severity: warning}}]}
    - {eval_time: 20s, alertname: hot, exp_alerts: [{exp_labels: {source: web, severity: critical}}]}
    - {eval_time: 30s, alertname: hot}
    - {eval_time: 50s, alertname: gone, exp_alerts: [{exp_labels: {source: web, severity: critical}}]}
    """
    assert faults(folder, expected) == []


@pytest.mark.parametrize(
    ("alert", "told"),
    [
        (
            "{eval_time: 10s, alertname: hot}",
            'at 10s: hot: {severity="warning", source="web"} stands: m max 60 above warning 50 on web',
        ),
        (
            "{eval_time: 30s, alertname: hot, exp_alerts: [{exp_labels: {source: web, severity: warning}}]}",
            'at 30s: hot: {severity="warning", source="web"} does not stand; none does',
        ),
        (
            "{eval_time: 20s, alertname: hot, exp_alerts: [{exp_labels: {source: web, severity: critical}, "
            "exp_annotations: {summary: too hot}}]}",
            'at 20s: hot: {severity="critical", source="web"} says \'m max 120 above critical 100 on web\', '
            "not 'too hot'",
        ),
        ("{eval_time: 10s, alertname: cold}", "there is no rule cold; there are gone, hot"),
    ],
)
def test_what_does_not_is_told_with_what_does(folder: Path, alert: str, told: str) -> None:
    assert faults(folder, f"- {alert}") == [told]


def test_both_sides_of_a_difference_are_told(folder: Path) -> None:
    wrong = "{eval_time: 20s, alertname: hot, exp_alerts: [{exp_labels: {source: web, severity: warning}}]}"
    missing, surplus = faults(folder, f"- {wrong}")
    assert missing.endswith('does not stand; those that do: {severity="critical", source="web"}')
    assert "stands: m max 120 above critical" in surplus


def test_the_command_tells_what_is_not_tested_and_fails_with_a_test(folder: Path) -> None:
    command = CliRunner()
    asked = "alert_rule_test: [{eval_time: 20s, alertname: gone}]"
    good = written(folder, f"- {SERIES}\n  name: nothing asked\n  {asked}")
    done = command.invoke(app, ["rules", "test", str(good), str(EXAMPLES / "queue_test.yaml")])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:3] == [
        f"✓ {good}: nothing asked",
        "  hot: no test comes to recovering, ok, stale",
        "  gone: no test comes to firing:critical, recovering, ok",
    ]
    assert "  queue-depth: every state is tested" in done.output
    assert done.output.endswith("all tests passed\n")

    bad = written(folder, f"- {SERIES}\n  alert_rule_test: [{{eval_time: 20s, alertname: hot}}]")
    done = command.invoke(app, ["rules", "test", str(bad)])
    assert done.exit_code == 1
    assert done.output.startswith(f"✗ {bad}: test 1\n    at 20s: hot: ")
    assert done.output.endswith("1 test failed\n")


def test_the_page_shows_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    root = EXAMPLES.parents[1]
    monkeypatch.chdir(root)
    shown = (root / "docs" / "rules.md").read_text().split("$ watchkeeper rules test ")[1].split("```")[0]
    command, _, printed = shown.partition("\n")
    assert CliRunner().invoke(app, ["rules", "test", command]).output == printed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 2.5 -3", [1, 2.5, -3]),
        ("0+10x3", [0, 10, 20, 30]),
        ("10-2.5x2", [10, 7.5, 5]),
        ("5x2", [5, 5, 5]),
        ("1 _ _x2 stale 2", [1, None, None, None, None, 2]),
        ("1e3 +.5", [1000, 0.5]),
        ("", []),
    ],
)
def test_values_are_written_as_for_promtool(text: str, expected: list[float | None]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize("text", ["x", "1+", "1x", "{{schema:1}}", "NaN", "1+2x9999999", "1x150000 1x150000"])
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no value: write 1 2 3|more than 200000 values"):
        values(text)


def test_a_series_is_a_metric_with_labels() -> None:
    assert series("a.b_c") == ("a.b_c", {})
    assert series('m{source="web", system.disk="\\"a\\\\b\\"", }') == ("m", {"source": "web", "system.disk": '"a\\b"'})
    for bad in ("", "m{", "{a=1}", "m{a=1}", 'm{a="b" c="d"}', "1m"):
        with pytest.raises(ValueError, match=r"is no series|is no label"):
            series(bad)


@pytest.mark.parametrize(
    ("test", "told"),
    [
        (
            '- input_series: [{series: "m{", values: "1"}]\n  alert_rule_test: []',
            ":3: tests.0.input_series.0: 'm{' is no series",
        ),
        (
            '- input_series: [{series: m, values: "one"}]\n  alert_rule_test: []',
            ":3: tests.0.input_series.0: 'one' is no value",
        ),
        (
            "- input_series: []\n  alert_rule_test:\n  - eval_time: 15s\n    alertname: hot",
            ":5: tests.0: eval_time must be a multiple of 10s, at most 336h",
        ),
        ("- input_series: []\n  interval: 0s\n  alert_rule_test: []", ":4: tests.0.interval: give 1ms to 1d"),
        ("- input_series: []\n  colour: red\n  alert_rule_test: []", ":4: tests.0.colour: there is no such field"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_line(folder: Path, test: str, told: str) -> None:
    with pytest.raises(BadSettings) as caught:
        run(written(folder, test))
    assert told in str(caught.value)


def test_rules_are_evaluated_at_their_own_pace_and_files_must_be_there(folder: Path) -> None:
    test = "- input_series: []\n  alert_rule_test: []"
    with pytest.raises(BadSettings, match=":2: evaluation_interval: rules are evaluated every 10s"):
        run(written(folder, test, head="rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n"))
    with pytest.raises(BadSettings, match=r"elsewhere.yaml cannot be read: No such file or directory\. Name a file of"):
        run(written(folder, test, head="rule_files: [elsewhere.yaml]\ntests:\n"))
    with pytest.raises(BadSettings, match="Name a file of tests of rules"):
        run(folder / "none.yaml")
