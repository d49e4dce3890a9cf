"""The hot path's codec: msgspec structs of samples and ticks.

Everything here agrees with `schemas.reference` on every input: what the structs accept is checked to the same limits,
and what they refuse is handed to the reference, which says what is wrong and saves the samples that are good. Unknown
fields count as refused, since a struct would skip them unread.

One thing differs. Dimensions are read when their series is first seen. Where they hold what the reference's parser does
not take at all (nested deeper than 200, an integer of more than 4,300 digits), the sample is refused, not the record;
and nothing is refused where a second `dimensions` of the same sample replaces them.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta, Raw, Struct

from schemas import reference
from schemas.errors import BadRecord
from schemas.records import MAX_RECORD_BYTES
from schemas.samples import MAX_SAMPLES, Kind
from schemas.series import Decoded, Series, series_of
from schemas.structs import REFUSED, Dimensions, Epoch, Metric, Millis, Source

TICK_PREFIX = b'{"tick":'
"""Every tick begins with these bytes, and no other record does: its first field is `tick`, without a space."""

MAX_CACHED_SERIES = 200_000


class Sample(Struct, gc=False, forbid_unknown_fields=True):
    """A sample with a value. One with a sketch is refused here, and so goes by way of the reference."""

    metric: str
    value: float
    kind: Literal["gauge", "delta", "cumulative"] = "gauge"
    dimensions: Raw = Raw(b"")
    at_ms: Millis | None = None
    sketch: None = None


class SampleRecord(Struct, gc=False, forbid_unknown_fields=True):
    """A record of `metrics.samples`. Metric names and dimensions are checked when their series is first seen."""

    v: Literal[1]
    source: Source
    boot: Annotated[str, Meta(min_length=1, max_length=64)]
    seq: Millis
    sent_ms: Millis
    at_ms: Millis
    samples: Annotated[list[Sample], Meta(min_length=1, max_length=MAX_SAMPLES)]


class Tick(Struct, forbid_unknown_fields=True):
    """A tick, see `schemas.samples.Tick`. `tick` must stay the first field."""

    tick: Literal[1]
    epoch: Epoch
    at_ms: Millis
    seq: Millis = 0


_METRIC = msgspec.json.Decoder(Metric)
_DIMENSIONS = msgspec.json.Decoder(Dimensions)
_TICK = msgspec.json.Decoder(Tick)
_ENCODER = msgspec.json.Encoder()
_BEGIN, _END = {ord("{")}, {ord("}")}

encode = _ENCODER.encode
"""The JSON bytes of any struct."""


def decode_tick(value: bytes) -> Tick:
    """A tick.

    Raises:
        BadRecord: When it cannot be read.
    """
    try:
        return _TICK.decode(reference.checked_bytes(value))
    except REFUSED:
        tick = reference.decode_tick(value)
        return Tick(1, tick.epoch, tick.at_ms, tick.seq)


class SeriesCache(dict[tuple[str, str, str, bytes], Series]):
    """Series by (source, metric, kind, bytes of the dimensions). Looking one up learns it.

    Bounded: it is emptied when it holds `MAX_CACHED_SERIES`. A lookup raises `BadRecord` for a name that is refused.
    """

    def __missing__(self, key: tuple[str, str, str, bytes]) -> Series:
        source, metric, kind, raw = key
        try:
            _METRIC.decode(_ENCODER.encode(metric))
            dimensions = _DIMENSIONS.decode(raw) if raw else {}
        except REFUSED:
            dimensions = reference.labels(metric, raw or b"{}")
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
        lines = list(cast("Sequence[bytes]", values))
        joined = b"\n".join(lines)
        if TICK_PREFIX not in joined:
            return self._decode_lines(lines, joined)
        ticks = {index: value for index, value in enumerate(lines) if value.startswith(TICK_PREFIX)}
        for index in reversed(ticks):
            del lines[index]
        decoded = self._decode_lines(lines, b"\n".join(lines))
        for index, value in ticks.items():
            decoded.insert(index, self._decode(value))
        return decoded

    def _decode_lines(self, lines: Sequence[bytes], joined: bytes) -> list[Input]:
        # A value of two records beside an empty or a cut one would shift its neighbours. Where every value begins as a
        # record and ends as one, each holds at least one: no JSON has `}` and `{` with nothing but a line break between
        # them. So as many records as values are one in each.
        whole = all(lines) and {value[0] for value in lines} == _BEGIN and {value[-1] for value in lines} == _END
        if not whole or (len(joined) > MAX_RECORD_BYTES and max(map(len, lines)) > MAX_RECORD_BYTES):
            return [self._decode(value) for value in lines]
        try:
            records = self._decoder.decode_lines(_text(joined))
        except REFUSED:
            return [self._decode(value) for value in lines]
        if len(records) != len(lines):
            return [self._decode(value) for value in lines]
        # As `_plausible` says it, without a call for each record.
        spans_ms = [record.at_ms - record.sent_ms for record in records]
        if not spans_ms or (min(spans_ms) >= -reference.PAST_BOUND_MS and max(spans_ms) <= reference.FUTURE_BOUND_MS):
            return cast("list[Input]", records)
        return [
            record if _plausible(record) else _explained(value) for record, value in zip(records, lines, strict=True)
        ]

    def _decode(self, value: bytes | None) -> Input:
        try:
            if value is not None and value.startswith(TICK_PREFIX):
                return decode_tick(value)
            record = self._decode_one(reference.checked_bytes(value))
        except BadRecord as bad:
            return bad
        return record if record is not None and _plausible(record) else _explained(value)

    def _decode_one(self, value: bytes) -> SampleRecord | None:
        """The record; with unknown fields by way of the reference's parser, which reads what a struct would skip."""
        with suppress(*REFUSED):
            return self._decoder.decode(_text(value))
        with suppress(*REFUSED, TypeError, LookupError, OverflowError):
            return self._decoder.decode(encode(_known_fields(reference.parsed(value))))
        return None


def _text(value: bytes) -> bytes:
    """The value, once it is known to be text: dimensions are not looked at while they are skipped."""
    if not value.isascii():
        value.decode()
    return value


def _plausible(record: SampleRecord) -> bool:
    return -reference.PAST_BOUND_MS <= record.at_ms - record.sent_ms <= reference.FUTURE_BOUND_MS


def _known_fields(record: Any) -> dict[str, Any]:
    known = {name: record[name] for name in SampleRecord.__struct_fields__}
    names = Sample.__struct_fields__
    known["samples"] = [{name: sample[name] for name in names if name in sample} for sample in known["samples"]]
    for sample in known["samples"]:
        # A number that is too large is infinite here, and would be written as null: as if it were not there.
        if sample.get("sketch") is not None or isinstance(sample.get("at_ms"), float):
            raise TypeError(sample)
    return known


def _explained(value: bytes | None) -> Decoded | BadRecord:
    try:
        return reference.decode_samples(value)
    except BadRecord as bad:
        return bad
