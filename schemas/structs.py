"""Types that the fields of msgspec structs share. They have the same limits as the models of pydantic."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.dimensions import MAX_DIMENSIONS, MAX_NAME_CHARS, MAX_VALUE_CHARS
from schemas.records import MAX_INT64

Millis = Annotated[int, Meta(ge=0, le=MAX_INT64)]
Metric = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_.:/-]*\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
Dimensions = Annotated[dict[Name, Annotated[str, Meta(max_length=MAX_VALUE_CHARS)]], Meta(max_length=MAX_DIMENSIONS)]
Hex64 = Annotated[str, Meta(min_length=16, max_length=16)]
Source = Annotated[str, Meta(min_length=1, max_length=256)]
Epoch = Annotated[str, Meta(min_length=1, max_length=64)]
Topic = Annotated[str, Meta(min_length=1, max_length=249)]
Partition = Annotated[int, Meta(ge=0, le=2**31)]
Bucket = Annotated[int, Meta(ge=-99_999, le=99_999)]
Buckets = dict[Bucket, Annotated[int, Meta(ge=1, le=MAX_INT64)]]
KindName = Literal["gauge", "delta", "cumulative", "sketch"]

REFUSED = (msgspec.MsgspecError, RecursionError, UnicodeError)
"""What a decoder raises for bytes that are not of its type."""
