"""The wheel: exactly the program's packages with their data files, and never to be uploaded."""

import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = {
    "schemas",
    "engine",
    "connect",
    "collectors",
    "agents",
    "sinks",
    "analysis",
    "operations",
    "api",
    "watchkeeper",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_it_holds_every_file_of_the_programs_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert held == wanted
    assert {name.partition("/")[0] for name in held} == PACKAGES


def test_it_says_that_it_must_not_be_uploaded_and_installs_the_command(wheel: zipfile.ZipFile) -> None:
    metadata = message_from_bytes(wheel.read("watchkeeper-0.1.0.dist-info/METADATA"))

    assert "Private :: Do Not Upload" in (metadata.get_all("Classifier") or [])
    assert metadata["Requires-Python"] == ">=3.11"
    assert b"watchkeeper = watchkeeper.cli:main" in wheel.read("watchkeeper-0.1.0.dist-info/entry_points.txt")
    assert "watchkeeper-0.1.0.dist-info/licenses/LICENSE" in wheel.namelist()
