"""The generated documents: that they do not drift, and that a drift is noticed."""

import re
from pathlib import Path

import pytest
import yaml

from docs import generate
from schemas.rules import RuleFile
from schemas.topics import TOPICS
from watchkeeper.rule_tests import RuleTests

ROOT = Path(__file__).parent.parent.parent


def test_no_generated_document_differs_from_the_code() -> None:
    assert generate.drift() == []


def test_a_changed_a_missing_and_a_left_over_document_are_all_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "CONTRACTS", tmp_path / "docs" / "contracts")
    document = tmp_path / "README.md"
    document.write_text("# Kept\n<!-- generated:topics -->\nold\n<!-- /generated -->\nkept\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.0"\n')
    assert "README.md differs" in generate.drift()
    generate.write()
    assert generate.drift() == []
    assert document.read_text().startswith("# Kept\n<!-- generated:topics -->\n| topic | key |")
    assert document.read_text().endswith("<!-- /generated -->\nkept\n")

    (tmp_path / "docs/contracts/alerts.v1.schema.json").write_text("{}")
    (tmp_path / "docs/contracts/logs.v1.schema.json").unlink()
    (tmp_path / "docs/contracts/extra.json").touch()

    assert sorted(generate.drift()) == [
        "docs/contracts/alerts.v1.schema.json differs",
        "docs/contracts/extra.json is left over",
        "docs/contracts/logs.v1.schema.json is missing",
    ]


def test_the_topics_table_has_a_row_for_every_topic() -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \|", generate.topics_table(schemas_at="."), flags=re.MULTILINE)

    assert rows == [topic.name for topic in TOPICS]


def test_a_block_that_nothing_generates_is_an_error() -> None:
    with pytest.raises(KeyError, match="unknown"):
        generate.with_blocks("<!-- generated:unknown -->\n<!-- /generated -->", {"topics": ""})


def test_the_rules_of_the_documents_can_be_used() -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "rules.md").read_text(), re.MULTILINE | re.DOTALL)

    files = [yaml.safe_load(example) for example in examples]
    counts = [len(RuleFile.model_validate(file).rules) for file in files if "rules" in file]
    assert counts == [2, 1, 1, 2, 1, 1, 1, 3, 3]
    assert [len(RuleTests.model_validate(file).tests) for file in files if "tests" in file] == [1]
