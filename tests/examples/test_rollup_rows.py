"""The example that reads rollup rows without our code sees what our reader sees."""

import json
import re
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy
import pytest

from examples.rollup_rows import rows
from schemas import reference
from schemas.rollups import RollupRows
from tests.schemas.hostile import golden

ROOT = Path(__file__).parent.parent.parent
COLUMNS, ROWS = golden("metrics.rollups.columns.v1"), golden("metrics.rollups.rows.v1")


def of_reference(line: bytes) -> list[dict[str, Any]]:
    record = reference.decode_rollups(line)
    assert isinstance(record, RollupRows)
    about = record.model_dump(mode="json", exclude={"rows", "v", "type"})
    return [{**about, **row.model_dump(mode="json")} for row in record.rows]


@pytest.mark.parametrize("line", COLUMNS + ROWS)
def test_each_row_of_either_form_is_what_the_reference_reads(line: bytes) -> None:
    assert json.loads(json.dumps(list(rows(json.loads(line))))) == of_reference(line)


def test_the_lines_of_the_contracts_page_read_columns() -> None:
    page = (ROOT / "docs" / "contracts" / "README.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for value in COLUMNS:
        names = {"json": json, "numpy": numpy, "b64decode": b64decode, "value": value}
        exec(lines, names)  # what stands on the page
        found = [(f"{series:016x}", total, n) for series, total, n in _zipped(names, "series", "sums", "counts")]
        assert found == [(row["series"], row["sum"], row["n"]) for row in of_reference(value)]


def _zipped(names: dict[str, Any], *arrays: str) -> list[tuple[Any, ...]]:
    return list(zip(*(names[name].tolist() for name in arrays), strict=True))


def test_lines_go_in_and_rows_come_out() -> None:
    watermark = golden("metrics.rollups.watermark.v1")
    ran = subprocess.run(
        [sys.executable, "examples/rollup_rows.py"],
        input=b"\n".join([*COLUMNS, *watermark, *ROWS]),
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert len(ran.stdout.splitlines()) == sum(len(of_reference(line)) for line in COLUMNS + ROWS)
