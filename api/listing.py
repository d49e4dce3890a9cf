"""The routes of the API, for its page: read from its own document."""

from collections.abc import Iterator, Mapping
from typing import Any

from api.app import PREFIX


def routes(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Of each route its method and path below the prefix, the name of its operation, and what it is for."""
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            yield f"`{method.upper()} {path.removeprefix(PREFIX)}`", f"`{about['operationId']}`", about["summary"]
