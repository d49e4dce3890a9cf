"""What must stand in no file: addresses of package registries, and paths of the machine it was written on."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

REGISTRY = re.compile(r"(?:pypi|pythonhosted|npmjs|crates)\.(?:org|io|com)|--(?:extra-)?index-url\s+\S+://|find-links")
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|root|home|Users|tmp/[a-z]+/bin|private/var)/[A-Za-z0-9_.]")
SECRET = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b")
MAX_FILE_BYTES = 1_000_000


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


FILES = tracked()


def found(pattern: re.Pattern[str], *, but: Path = Path(__file__)) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in FILES
        if path != but
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_names_a_package_registry() -> None:
    assert found(REGISTRY) == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert found(MACHINE_PATH) == []


def test_no_file_holds_a_secret() -> None:
    assert found(SECRET) == []


def test_no_file_is_binary_or_large() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in FILES
        if path.stat().st_size > MAX_FILE_BYTES or b"\0" in path.read_bytes()
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (REGISTRY, "--index-url " + "https://mirror.example/simple"),
        (REGISTRY, "https://" + "pypi" + ".org/simple"),
        (MACHINE_PATH, "cd /" + "home/ada/watchkeeper"),
        (SECRET, "-----BEGIN RSA " + "PRIVATE KEY-----"),
    ],
)
def test_what_is_forbidden_would_be_found(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
