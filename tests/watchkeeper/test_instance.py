"""The data folder: one instance at a time, and what it tells its clients."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import PermanentError
from watchkeeper.instance import DataFolder, Instance, Locked, NotRunning, ProcessEntry, read

INSTANCE = Instance(
    pid=os.getpid(),
    ready=True,
    epoch="e1",
    kafka="127.0.0.1:17600",
    clickhouse="127.0.0.1:17601",
    embedded=("kafka", "clickhouse"),
    forgetful=True,
    processes={"collect": ProcessEntry(pid=7, state="running", restarts=2, started_ms=5, metrics="127.0.0.1:17602")},
)


def test_what_is_written_is_read_while_the_folder_is_held_and_not_after(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    with DataFolder(folder) as held:
        held.write(INSTANCE)
        assert read(folder) == INSTANCE
    with pytest.raises(NotRunning, match="watchkeeper up --data-dir"):
        read(folder)


def test_a_second_instance_on_a_folder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with (
        DataFolder(tmp_path),
        pytest.raises(Locked, match=r"another watchkeeper runs on .*--data-dir"),
        DataFolder(tmp_path),
    ):
        pass
    with DataFolder(tmp_path):
        pass


def test_what_a_killed_instance_left_behind_does_not_count_as_running(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.watchkeeper.test_instance import INSTANCE\n"
        "from watchkeeper.instance import DataFolder\n"
        "folder = DataFolder(Path(sys.argv[1])).__enter__()\n"
        "folder.write(INSTANCE)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=30, check=False)
    assert done.returncode == -9
    assert json.loads((tmp_path / "instance.json").read_text())["ready"]

    with pytest.raises(NotRunning):
        read(tmp_path)


def test_a_folder_that_cannot_be_created_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(PermanentError, match=r"cannot be used .*--data-dir"), DataFolder(tmp_path / "file" / "data"):
        pass


def test_the_folder_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0
