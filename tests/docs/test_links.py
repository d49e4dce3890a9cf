"""Documents point at things that exist: files, functions, tests, topics, environment variables."""

import ast
import re
from pathlib import Path

import pytest

from schemas.topics import BY_NAME
from watchkeeper.sources import fields, variable

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?://|mailto:)(?P<target>[^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(
    r"`(?P<path>[\w./-]+/[\w.-]+\.(?:py|md|yaml|yml|sql|json|jsonl|toml|svg|txt))(?::(?P<name>\w+(?:\.\w+)*))?`"
)
VARIABLE = re.compile(r"`(?P<name>WATCHKEEPER_[A-Z_]+)`")
NOT_SETTINGS = {"WATCHKEEPER_CONFIG"}

EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@EACH
def test_every_link_leads_to_a_file(document: Path) -> None:
    text = document.read_text()

    missing = [match["target"] for match in LINK.finditer(text) if not (document.parent / match["target"]).exists()]
    assert missing == []


@EACH
def test_every_file_that_is_named_exists_and_holds_the_name_that_is_given(document: Path) -> None:
    wrong = [
        match[0]
        for match in CODE.finditer(document.read_text())
        if not (ROOT / match["path"]).exists() or (match["name"] and match["name"] not in names(ROOT / match["path"]))
    ]

    assert wrong == []


@EACH
def test_every_environment_variable_that_is_named_is_a_setting(document: Path) -> None:
    known = {variable(name) for name, _ in fields()} | NOT_SETTINGS

    assert {match["name"] for match in VARIABLE.finditer(document.read_text())} <= known


def test_the_readme_names_every_topic() -> None:
    readme = (ROOT / "README.md").read_text()

    assert [name for name in BY_NAME if f"`{name}`" not in readme] == []


def names(path: Path) -> set[str]:
    """Functions, classes, methods and assigned names at the top of a module, as `name` and `Class.method`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{item.name}"
                for item in node.body
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found
