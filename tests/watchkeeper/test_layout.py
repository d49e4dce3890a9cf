"""What `watchkeeper up` tells its children."""

from pathlib import Path
from typing import Any

import pytest

from schemas.topics import TOPICS
from watchkeeper.layout import Layout
from watchkeeper.settings import Settings
from watchkeeper.sources import load, variable

EARLY = ("process", "early_ms")


def told(monkeypatch: pytest.MonkeyPatch, folder: Path, **settings: Any) -> Settings:
    """The settings of a role."""
    layout = Layout(settings=load({"data_dir": folder, **settings}).settings)
    env = layout.role("process", "an-epoch").env
    with monkeypatch.context() as child:
        for name, text in env.items():
            child.setenv(name, text)
        return load().settings


def test_a_broker_that_never_frees_memory_is_given_little(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_tansu = told(monkeypatch, tmp_path)
    with_kafka = told(monkeypatch, tmp_path, embedded={"broker": "kafka"})

    assert with_tansu.kafka.partitions == {topic.name: 1 for topic in TOPICS}
    assert with_kafka.kafka.partitions == {}
    assert with_tansu.process.early_ms > with_kafka.process.early_ms


def test_what_a_person_set_holds_for_every_broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(variable(EARLY), "2000")

    told_so = told(monkeypatch, tmp_path, kafka={"partitions": {"logs": 3}})

    assert told_so.process.early_ms == 2_000
    assert told_so.kafka.partitions["logs"] == 3
