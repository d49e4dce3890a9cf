"""The faults of an instance that brings all it needs, some times each: `make chaos` is longer."""

from collections.abc import Callable

import pytest

from tests.chaos.stage import embedded_tansu

STAGED = embedded_tansu

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_nothing_is_lost_and_nothing_is_double(exact: Callable[[], None]) -> None:
    exact()
