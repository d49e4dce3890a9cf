"""Every fault, some times: nothing that was acknowledged is lost, nothing is counted twice. `make chaos` is longer."""

import os
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.perform import perform
from tests.chaos.stage import embedded_tansu

SEED = int(os.environ.get("WATCHKEEPER_TEST_SEED", "20261123"))

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def marks(name: str) -> tuple[pytest.MarkDecorator, ...]:
    """All but one kind of fault need Apache Kafka."""
    return () if FAULTS[name].stage is embedded_tansu else (pytest.mark.apache_kafka,)


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in FAULTS])
def test_nothing_is_lost_and_nothing_is_double(name: str, tmp_path: Path) -> None:
    outcome = perform(FAULTS[name], count=FAULTS[name].short, seed=SEED, folder=tmp_path)
    print(outcome)
    assert outcome.found.samples > 0
    assert outcome.exact, outcome
