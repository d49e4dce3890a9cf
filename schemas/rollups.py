"""Topic `metrics.rollups`: rollup rows with their identity, and each input partition's watermark."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.dimensions import Dimensions
from schemas.records import MAX_INT64, Count, Finite, Hex64, MetricName, Millis, Source, Wire
from schemas.samples import BucketIndex, Kind

ROLLUP_10S = "10s.v1"
"""The one rollup definition, with its version: windows of 10 s. A changed fold is a new version."""

Epoch = Annotated[str, StringConstraints(min_length=1, max_length=64)]

Buckets = dict[BucketIndex, Annotated[int, Field(ge=1, le=MAX_INT64)]]
"""As in a sample, without a bound of their number: a row holds what many samples had."""


class RollupRow(Wire):
    """One series in one window, as far as one segment of one input partition tells: a full value, to be replaced."""

    series: Hex64 = Field(description="Fingerprint of (metric, source, dimensions).")
    source: Source
    dimensions: Dimensions = Field(default_factory=dict)
    kind: Kind = Field(strict=False)
    start_ms: Millis = Field(description="Start of the window; it ends `size_ms` later, exclusively.")
    ver: Count = Field(description="Last folded offset + 1. Of rows with one identity, the greatest `ver` holds.")
    n: Count = Field(description="How many values were folded in.")
    sum: Finite
    min: Finite
    max: Finite
    first: Finite = Field(description="Value with the least time; ties: the least offset.")
    first_ms: Millis
    last: Finite = Field(description="Value with the greatest time; ties: the greatest offset.")
    last_ms: Millis
    increase: Finite = Field(description="Of a cumulative series: the growth between its values here, resets repaired.")
    zero: Count = Field(default=0, description="Sketch: how many values were zero.")
    positive: Buckets = Field(default_factory=dict, description="Sketch: bucket index to count, values above zero.")
    negative: Buckets = Field(default_factory=dict, description="Sketch: bucket index to count, values below zero.")
    h_sum: Hex64 = Field(description="Sum, modulo 2^64, of the hashes of the record ids that were folded in.")
    h_xor: Hex64 = Field(description="Exclusive or of the same hashes.")


class RollupRows(Wire):
    """Rows of one metric from one checkpoint of one input partition. Keyed by metric.

    The identity of a row is (rollup, series, start_ms, topic, epoch, partition, segment).
    """

    v: Literal[1]
    type: Literal["rows"]
    rollup: Annotated[str, StringConstraints(min_length=1, max_length=32)] = Field(
        description="Definition and version."
    )
    size_ms: Annotated[int, Field(gt=0, le=2**31)] = Field(description="Length of the window.")
    metric: MetricName
    topic: Annotated[str, StringConstraints(min_length=1, max_length=249)] = Field(description="Input topic.")
    epoch: Epoch = Field(description="Incarnation of the input topic.")
    partition: Annotated[int, Field(ge=0, le=2**31)]
    segment: Count = Field(description="Offset of the first record of the segment.")
    rows: Annotated[list[RollupRow], Field(min_length=1)]


class Watermark(Wire):
    """How far one input partition is complete. Sent to every partition of `metrics.rollups`, after its rows."""

    v: Literal[1]
    type: Literal["watermark"]
    topic: Annotated[str, StringConstraints(min_length=1, max_length=249)]
    epoch: Epoch
    partition: Annotated[int, Field(ge=0, le=2**31)]
    watermark_ms: Millis = Field(description="No window that ends at or before this time is expected to change.")
    next_offset: Count = Field(description="Every record below it is in the rows that were sent before.")
