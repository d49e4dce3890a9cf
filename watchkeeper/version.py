"""Which version of the program this is."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of


def version() -> str:
    """Of the installed distribution; `0+source` where the program runs from its source tree without being installed."""
    try:
        return version_of("watchkeeper")
    except PackageNotFoundError:
        return "0+source"
