"""Rule files: every fault with its line."""

from pathlib import Path

import pytest

from operations.rules_file import default_rules, load_rules, parse_rules
from schemas.errors import BadSettings

HEAD = "version: 1\nrules:\n"
GOOD = "{id: x, kind: threshold, metric: m, warning: 1}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{HEAD}- {GOOD}\n- {GOOD}\n", ["f:4: rules.1.id: another rule has the id x already"]),
        (f"{HEAD}- id: a\n  kind: absence\n  metric: m\n  id: b\n", ["f:6: id is given twice"]),
        (f"{HEAD}- {GOOD}\nrules: []\n", ["f:4: rules is given twice"]),
        (
            f"{HEAD}- {{id: a, kind: absence, metric: m,\n  after: 2h,\n  forget_after: 1h,\n  severity: none}}\n",
            [
                "f:5: rules.0: forget_after must be longer than after",
                "f:6: rules.0.severity: must be warning or critical",
            ],
        ),
        (
            f"{HEAD}- id: a\n  kind: threshold\n  metric: m\n  warning: hot\n  colour: blue\n",
            [
                "f:6: rules.0.warning: Input should be a valid number, not 'hot'",
                "f:7: rules.0.colour: there is no such field; see docs/rules.md for those that there are",
            ],
        ),
        (
            f"{HEAD}- id: external.a\n  kind: absence\n  metric: m\n",
            ["f:3: rules.0.id: external. begins the names of alerts that other systems raise"],
        ),
        (
            f"{HEAD}- id: a\n  metric: m\n",
            [
                "f:3: rules.0: say which kind of rule it is: kind: threshold, kind: ratio, kind: change, kind: outlier,"
                " kind: forecast, kind: burn_rate, kind: anomaly, kind: absence, kind: composite, or kind: sequence"
            ],
        ),
        (
            f"{HEAD}- id: a\n  kind: ratio\n  metric: m\n  warning: 2\n  bad: 7\n",
            ["f:7: rules.0.bad: Input should be a valid dictionary, not 7"],
        ),
        (
            f"{HEAD}- id: a\n  kind: composite\n  rules: [b, a-c]\n  group_by: [host]\n"
            "- id: b\n  kind: threshold\n  metric: m\n  warning: 1\n"
            "- id: a-c\n  kind: sequence\n  first: b\n  then: gone\n  within: 1m\n",
            [
                "f:3: rules.0: a looks at a-c, which looks at rules itself",
                "f:6: rules.0.group_by: none of b, a-c is grouped by all of host",
                "f:11: rules.2: a-c looks at gone, which this file does not hold",
            ],
        ),
        (
            f"{HEAD}- id: a\n  kind: change\n  metric: m\n  warning: 1\n  ago: []\n",
            [
                "f:7: rules.0.ago: Input should be a valid integer",
                "f:7: rules.0.ago: Tuple should have at least 1 item after validation, not 0",
            ],
        ),
        ("version: 2001-99-99\n", ["f:1: this is not YAML: month must be in 1..12"]),
        ("a: [\n", ["f:2: this is not YAML: expected the node content, but found '<stream end>'"]),
        (f"{HEAD}- &r [*r]\n", ["f:3: rules.0: Input should be a valid dictionary or object to extract fields from"]),
    ],
)
def test_every_fault_is_told_with_its_line(text: str, told: list[str]) -> None:
    with pytest.raises(BadSettings) as caught:
        parse_rules(text.encode(), "f")
    assert str(caught.value).splitlines() == told


@pytest.mark.parametrize(
    "text", [b"\x00", b"\xff", b"[" * 50_000, b"version: " + b"1" * 5_000, b"!!python/name:os.system x", b""]
)
def test_whatever_the_bytes_it_is_a_sentence_with_a_line(text: bytes) -> None:
    with pytest.raises(BadSettings, match=r"\Af:\d+: [^\n]+\Z"):
        parse_rules(text, "f")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be read: Is a directory"):
        load_rules(tmp_path)


def test_the_default_rules_can_be_used() -> None:
    assert len(default_rules().rules) > 0
