"""The faults of an instance between services that outlive it, some times each: `make chaos` is longer."""

from collections.abc import Callable

import pytest

from tests.chaos.stage import served

STAGED = served

pytestmark = [pytest.mark.e2e, pytest.mark.apache_kafka, pytest.mark.timeout(600)]


def test_nothing_is_lost_and_nothing_is_double(exact: Callable[[], None]) -> None:
    exact()
