"""The hot path's codec: msgspec structs of samples, ticks and rollups.

`SampleDecoder` and `SeriesCache` together agree with `schemas.reference` on every input: what the structs accept is
checked to the same limits, and what they refuse is handed to the reference, which says what is wrong and saves the
samples that are good.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta, Raw, Struct

from schemas import reference
from schemas.dimensions import MAX_DIMENSIONS, MAX_NAME_CHARS, MAX_VALUE_CHARS
from schemas.errors import BadRecord, Reason
from schemas.records import MAX_INT64, MAX_RECORD_BYTES
from schemas.samples import MAX_SAMPLES, Kind
from schemas.series import Decoded, Series, series_of

TICK_PREFIX = b'{"tick":'
"""Every tick begins with these bytes, and no other record does: its first field is `tick`, without a space."""

MAX_CACHED_SERIES = 200_000

_Millis = Annotated[int, Meta(ge=0, le=MAX_INT64)]
_Metric = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_.:/-]*$")]
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
_Dimensions = Annotated[dict[_Name, Annotated[str, Meta(max_length=MAX_VALUE_CHARS)]], Meta(max_length=MAX_DIMENSIONS)]
_KindName = Literal["gauge", "delta", "cumulative", "sketch"]


class Sample(Struct, gc=False):
    """A sample with a value. One with a sketch is refused here, and so goes by way of the reference."""

    metric: str
    value: float
    kind: Literal["gauge", "delta", "cumulative"] = "gauge"
    dimensions: Raw = Raw(b"")
    at_ms: _Millis | None = None
    sketch: None = None


class SampleRecord(Struct):
    """A record of `metrics.samples`. Metric names and dimensions are checked when their series is first seen."""

    v: Literal[1]
    source: Annotated[str, Meta(min_length=1, max_length=256)]
    boot: Annotated[str, Meta(min_length=1, max_length=64)]
    seq: _Millis
    sent_ms: _Millis
    at_ms: _Millis
    samples: Annotated[list[Sample], Meta(min_length=1, max_length=MAX_SAMPLES)]


class Tick(Struct):
    """A tick, see `schemas.samples.Tick`. `tick` must stay the first field."""

    tick: Literal[1]
    epoch: Annotated[str, Meta(min_length=1, max_length=64)]
    at_ms: _Millis
    seq: _Millis = 0


class Row(Struct, gc=False):
    """A rollup row, see `schemas.rollups.RollupRow`."""

    series: str
    source: str
    dimensions: dict[str, str]
    kind: _KindName
    start_ms: int
    ver: int
    n: int
    sum: float
    min: float
    max: float
    first: float
    first_ms: int
    last: float
    last_ms: int
    increase: float
    h_sum: str
    h_xor: str
    zero: int = 0
    positive: dict[int, int] = {}
    negative: dict[int, int] = {}


class Rows(Struct, tag="rows", tag_field="type"):
    """Rows of one metric from one checkpoint, see `schemas.rollups.RollupRows`."""

    rollup: str
    size_ms: int
    metric: str
    topic: str
    epoch: str
    partition: int
    segment: int
    rows: list[Row]
    v: Literal[1] = 1


class Mark(Struct, tag="watermark", tag_field="type"):
    """A watermark, see `schemas.rollups.Watermark`."""

    topic: str
    epoch: str
    partition: int
    watermark_ms: int
    next_offset: int
    v: Literal[1] = 1


_METRIC = msgspec.json.Decoder(_Metric)
_DIMENSIONS = msgspec.json.Decoder(_Dimensions)
_TICK = msgspec.json.Decoder(Tick)
_ROLLUPS = msgspec.json.Decoder(Rows | Mark)
_ENCODER = msgspec.json.Encoder()

encode = _ENCODER.encode
"""The JSON bytes of any of the structs above."""


def decode_tick(value: bytes) -> Tick:
    """A tick.

    Raises:
        BadRecord: With reason `bad_shape`.
    """
    try:
        return _TICK.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise BadRecord(Reason.BAD_SHAPE, f"tick: {error}") from None


def decode_rollups(value: bytes | None) -> Rows | Mark:
    """A record of `metrics.rollups`.

    Raises:
        BadRecord: When it cannot be read.
    """
    try:
        decoded: Rows | Mark = _ROLLUPS.decode(reference.checked_bytes(value))
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise BadRecord(Reason.BAD_SHAPE, str(error)) from None
    return decoded


class SeriesCache(dict[tuple[str, str, str, bytes], Series]):
    """Series by (source, metric, kind, bytes of the dimensions). Looking one up learns it.

    Bounded: it is emptied when it holds `MAX_CACHED_SERIES`. A lookup raises `BadRecord` for a name that is refused.
    """

    def __missing__(self, key: tuple[str, str, str, bytes]) -> Series:
        source, metric, kind, raw = key
        try:
            _METRIC.decode(_ENCODER.encode(metric))
            dimensions = _DIMENSIONS.decode(raw) if raw else {}
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise BadRecord(Reason.BAD_SHAPE, str(error)) from None
        if len(self) >= MAX_CACHED_SERIES:
            self.clear()
        learned = self[key] = series_of(metric, source, dimensions, Kind(kind))
        return learned


Input = SampleRecord | Decoded | Tick | BadRecord


class SampleDecoder:
    """Decodes batches of `metrics.samples`."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(SampleRecord)

    def decode_batch(self, values: Sequence[bytes | None]) -> list[Input]:
        """One entry for each value, in their order; what cannot be used is a `BadRecord`, or a fault of a `Decoded`."""
        if None in values:
            return [self._decode(value) for value in values]
        whole = cast("Sequence[bytes]", values)
        ticks = [index for index, value in enumerate(whole) if value.startswith(TICK_PREFIX)]
        lines = [value for value in whole if not value.startswith(TICK_PREFIX)] if ticks else whole
        decoded = self._decode_lines(lines)
        for index in ticks:
            decoded.insert(index, self._decode(whole[index]))
        return decoded

    def _decode_lines(self, lines: Sequence[bytes]) -> list[Input]:
        joined = b"\n".join(lines)
        # A value with a line break in it could shift its neighbours: then each is decoded alone.
        if not lines or joined.count(b"\n") != len(lines) - 1 or max(map(len, lines)) > MAX_RECORD_BYTES:
            return [self._decode(value) for value in lines]
        try:
            records = self._decoder.decode_lines(joined)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return [self._decode(value) for value in lines]
        if len(records) != len(lines):
            return [self._decode(value) for value in lines]
        low, high = -reference.PAST_BOUND_MS, reference.FUTURE_BOUND_MS
        return [
            record if low <= record.at_ms - record.sent_ms <= high else self._explained(value)
            for record, value in zip(records, lines, strict=True)
        ]

    def _decode(self, value: bytes | None) -> Input:
        try:
            if value is not None and value.startswith(TICK_PREFIX):
                return decode_tick(value)
            record = self._decoder.decode(reference.checked_bytes(value))
        except BadRecord as bad:
            return bad
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return self._explained(value)
        if -reference.PAST_BOUND_MS <= record.at_ms - record.sent_ms <= reference.FUTURE_BOUND_MS:
            return record
        return self._explained(value)

    @staticmethod
    def _explained(value: bytes | None) -> Decoded | BadRecord:
        try:
            return reference.decode_samples(value)
        except BadRecord as bad:
            return bad
