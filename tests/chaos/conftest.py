"""The stage of a module of faults, and what its tests do there."""

import os
from collections.abc import Callable, Iterator

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.perform import perform, wrong_minutes
from tests.chaos.stage import Stage

SEED = int(os.environ.get("WATCHKEEPER_TEST_SEED", "20261123"))
PACE = 0.4


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The faults of a module are those of its `STAGED`."""
    if "fault" in metafunc.fixturenames:
        metafunc.parametrize("fault", [name for name, one in FAULTS.items() if one.stage is metafunc.module.STAGED])


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """`STAGED` of the module. What one fault leaves behind there, the next one finds."""
    with request.module.STAGED(tmp_path_factory.mktemp("stage"), SEED) as stage:
        stage.pace = PACE
        yield stage
        assert wrong_minutes(stage) == 0


@pytest.fixture
def exact(stage: Stage, fault: str) -> Callable[[], None]:
    """Has the fault strike some times; fails if anything that was acknowledged is lost or counted twice."""

    def check() -> None:
        outcome = perform(FAULTS[fault], stage, name=fault, count=FAULTS[fault].short, seed=SEED)
        print(outcome)
        assert (outcome.lost, outcome.double) == (0, 0), outcome

    return check
