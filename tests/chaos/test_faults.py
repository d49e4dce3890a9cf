"""Every fault, some times: nothing that was acknowledged is lost, nothing is counted twice. `make chaos` is longer.

Faults of one stage share an instance: what one of them leaves behind, the next one finds.
"""

import os
from collections.abc import Iterator

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.perform import perform, wrong_minutes
from tests.chaos.stage import Stage, Staged, cluster, embedded_kafka, embedded_tansu, served

SEED = int(os.environ.get("WATCHKEEPER_TEST_SEED", "20261123"))
PACE = 0.4

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    staged: Staged = request.param
    with staged(tmp_path_factory.mktemp("stage"), SEED) as stage:
        stage.pace = PACE
        yield stage
        assert wrong_minutes(stage) == 0


def cases() -> Iterator[object]:
    """Stage by stage. All but one need Apache Kafka."""
    for staged in (embedded_tansu, embedded_kafka, served, cluster):
        marks = () if staged is embedded_tansu else (pytest.mark.apache_kafka,)
        for name, fault in FAULTS.items():
            if fault.stage is staged:
                yield pytest.param(staged, name, marks=marks, id=name)


@pytest.mark.parametrize(("stage", "name"), list(cases()), indirect=["stage"], scope="module")
def test_nothing_is_lost_and_nothing_is_double(stage: Stage, name: str) -> None:
    outcome = perform(FAULTS[name], stage, name=name, count=FAULTS[name].short, seed=SEED)
    print(outcome)
    assert (outcome.lost, outcome.double) == (0, 0), outcome
