"""Dimensions in canonical order, and the 64-bit fingerprint that names a series.

A series is one metric of one source with one set of dimensions. Its fingerprint is the first eight bytes of BLAKE2b
over the length-prefixed parts in canonical order, so no choice of separators in names or values can make two series
look alike.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated

from pydantic import Field, StringConstraints

MAX_DIMENSIONS = 32
MAX_NAME_CHARS = 128
MAX_VALUE_CHARS = 256

Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS)]
Value = Annotated[str, StringConstraints(max_length=MAX_VALUE_CHARS)]
Dimensions = Annotated[dict[Name, Value], Field(max_length=MAX_DIMENSIONS)]
Canonical = tuple[tuple[str, str], ...]


def canonical(dimensions: Mapping[str, str]) -> Canonical:
    """The dimensions sorted by name: equal mappings give equal tuples."""
    return tuple(sorted(dimensions.items()))


def fingerprint(metric: str, source: str, dimensions: Canonical) -> int:
    """The unsigned 64-bit name of a series.

    Args:
        metric: Name of the metric.
        source: Host or service instance that emitted it.
        dimensions: As `canonical` returns them.
    """
    parts = [metric, source, *(text for pair in dimensions for text in pair)]
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    framed = b"".join([len(part).to_bytes(4, "big") + part for part in encoded])
    return int.from_bytes(blake2b(framed, digest_size=8).digest(), "big")
