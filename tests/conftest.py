"""What all tests share: hypothesis profiles. `ci` repeats the same examples each time, `dev` searches on."""

import os

from hypothesis import HealthCheck, settings

_SLOW_MACHINE = [HealthCheck.too_slow]

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True, suppress_health_check=_SLOW_MACHINE)
settings.register_profile("dev", deadline=None, suppress_health_check=_SLOW_MACHINE)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
