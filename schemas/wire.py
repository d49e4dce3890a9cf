"""The hot path's codec: msgspec structs of samples, ticks and rollups.

`SampleDecoder` agrees with `schemas.reference` on every input: what the structs accept is checked to the same limits,
and what they refuse is handed to the reference, which says what is wrong and saves the samples that are good.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from schemas import reference
from schemas.dimensions import MAX_DIMENSIONS, MAX_NAME_CHARS, MAX_VALUE_CHARS
from schemas.errors import BadRecord, Reason
from schemas.records import MAX_INT64
from schemas.samples import MAX_SAMPLES, Kind
from schemas.series import Decoded, Point, Series, series_of

TICK_PREFIX = b'{"tick":'
"""Every tick begins with these bytes, and no other record does: its first field is `tick`, without a space."""

MAX_CACHED_SERIES = 200_000

_Millis = Annotated[int, Meta(ge=0, le=MAX_INT64)]
_Metric = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_.:/-]*$")]
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
_Dimensions = Annotated[dict[_Name, Annotated[str, Meta(max_length=MAX_VALUE_CHARS)]], Meta(max_length=MAX_DIMENSIONS)]
_KindName = Literal["gauge", "delta", "cumulative", "sketch"]


class _Sample(Struct, gc=False):
    metric: str
    value: float | None = None
    kind: _KindName = "gauge"
    dimensions: Raw = Raw(b"")  # noqa: RUF009  (immutable)
    at_ms: _Millis | None = None
    sketch: Raw | None = None


class _SampleRecord(Struct):
    v: Literal[1]
    source: Annotated[str, Meta(min_length=1, max_length=256)]
    boot: Annotated[str, Meta(min_length=1, max_length=64)]
    seq: _Millis
    sent_ms: _Millis
    at_ms: _Millis
    samples: Annotated[list[_Sample], Meta(min_length=1, max_length=MAX_SAMPLES)]


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
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadRecord(Reason.BAD_SHAPE, f"tick: {error}") from None


def decode_rollups(value: bytes | None) -> Rows | Mark:
    """A record of `metrics.rollups`.

    Raises:
        BadRecord: When it cannot be read.
    """
    try:
        return _ROLLUPS.decode(reference.checked_bytes(value))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadRecord(Reason.BAD_SHAPE, str(error)) from None


class SampleDecoder:
    """Decodes records of `metrics.samples`, and remembers each series by the bytes that named it.

    Not thread-safe. The memory is bounded: it is emptied when it holds `MAX_CACHED_SERIES` names.
    """

    def __init__(self) -> None:
        self._record = msgspec.json.Decoder(_SampleRecord)
        self._series: dict[tuple[str, str, str, bytes], Series] = {}

    def decode(self, value: bytes | None) -> Decoded:
        """One record.

        Raises:
            BadRecord: When the record as a whole cannot be used. A bad sample is a fault of the result instead.
        """
        try:
            record = self._record.decode(reference.checked_bytes(value))
            if not -reference.PAST_BOUND_MS <= record.at_ms - record.sent_ms <= reference.FUTURE_BOUND_MS:
                return reference.decode_samples(value)
            series, source = self._series, record.source
            points = []
            for sample in record.samples:
                number = sample.value
                if number is None or sample.sketch is not None or sample.at_ms is not None or sample.kind == "sketch":
                    return reference.decode_samples(value)
                key = (source, sample.metric, sample.kind, bytes(sample.dimensions))
                known = series.get(key)
                points.append(Point(known if known is not None else self._learn(key), number))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return reference.decode_samples(value)
        return Decoded(source, record.boot, record.seq, record.sent_ms, record.at_ms, points)

    def _learn(self, key: tuple[str, str, str, bytes]) -> Series:
        source, metric, kind, raw = key
        _METRIC.decode(_ENCODER.encode(metric))
        dimensions = _DIMENSIONS.decode(raw) if raw else {}
        if len(self._series) >= MAX_CACHED_SERIES:
            self._series.clear()
        learned = self._series[key] = series_of(metric, source, dimensions, Kind(kind))
        return learned
