"""The reference decoders: pydantic, sample by sample. Slow and plain; `schemas.wire` must agree.

It also decides what a partly bad record is worth: the envelope must hold; each bad sample becomes a fault of its own.
"""

from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from schemas.deadletters import Fault
from schemas.errors import BadRecord, Reason
from schemas.records import MAX_RECORD_BYTES, Record
from schemas.rollup_columns import RollupColumns
from schemas.rollups import RollupRows, Watermark
from schemas.samples import MAX_SAMPLES, Kind, Sample, Tick
from schemas.series import Decoded, Point, series_of

FUTURE_BOUND_MS = 60_000
"""Nothing happens later than it was sent: beyond this much, a time is refused. Both are by the sender's clock."""

PAST_BOUND_MS = 35 * 86_400_000
"""Older than raw data is kept: refused, since its window may already be gone."""


_Model = TypeVar("_Model")


class _Envelope(Record):
    samples: Annotated[list[Any], Field(min_length=1, max_length=MAX_SAMPLES)]


_ENVELOPE = TypeAdapter(_Envelope)
_SAMPLE = TypeAdapter(Sample)
_TICK = TypeAdapter(Tick)
_ROLLUPS: TypeAdapter[RollupRows | RollupColumns | Watermark] = TypeAdapter(
    Annotated[RollupRows | RollupColumns | Watermark, Field(discriminator="type")]
)


def checked_bytes(value: bytes | None) -> bytes:
    """The value, unless it is null or too large.

    Raises:
        BadRecord: With reason `null_value` or `too_large`.
    """
    if value is None:
        raise BadRecord(Reason.NULL_VALUE, "the record has no value")
    if len(value) > MAX_RECORD_BYTES:
        raise BadRecord(Reason.TOO_LARGE, f"{len(value)} bytes; at most {MAX_RECORD_BYTES} are read")
    return value


def parsed(value: bytes) -> Any:
    """The JSON value.

    Raises:
        BadRecord: With reason `not_json` or `too_deep`.
    """
    try:
        return from_json(value, allow_inf_nan=False)
    except RecursionError:
        raise BadRecord(Reason.TOO_DEEP, "nested too deeply") from None
    except ValueError as error:
        reason = Reason.TOO_DEEP if "recursion" in str(error) else Reason.NOT_JSON
        raise BadRecord(reason, str(error)) from None


def explain(error: ValidationError) -> str:
    """What pydantic found, each finding with its place, in one line."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'record'}: {item['msg']}" for item in found[:5])[:500]


def _valid(adapter: TypeAdapter[_Model], value: object) -> _Model:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise BadRecord(Reason.BAD_SHAPE, explain(error)) from None


def implausible(at_ms: int, sent_ms: int) -> BadRecord | None:
    """The refusal of a time that lies after its own sending, or before all that is kept."""
    if at_ms > sent_ms + FUTURE_BOUND_MS:
        return BadRecord(Reason.FUTURE, f"at_ms {at_ms} is {at_ms - sent_ms} ms later than sent_ms {sent_ms}")
    if at_ms < sent_ms - PAST_BOUND_MS:
        return BadRecord(Reason.TOO_OLD, f"at_ms {at_ms} is {sent_ms - at_ms} ms before sent_ms {sent_ms}")
    return None


def decode_samples(value: bytes | None) -> Decoded:
    """One record of `metrics.samples`.

    Raises:
        BadRecord: When the record as a whole cannot be used. A bad sample is a fault of the result instead.
    """
    envelope = _valid(_ENVELOPE, parsed(checked_bytes(value)))
    refused = implausible(envelope.at_ms, envelope.sent_ms)
    if refused is not None:
        raise refused
    points: list[Point] = []
    faults: list[Fault] = []
    for index, raw in enumerate(envelope.samples):
        try:
            points.append(_point(envelope, raw))
        except BadRecord as bad:
            faults.append(Fault(reason=bad.reason, detail=bad.detail, sample=index))
    return Decoded(envelope.source, envelope.boot, envelope.seq, envelope.sent_ms, envelope.at_ms, points, faults)


def _point(envelope: _Envelope, raw: object) -> Point:
    sample = _valid(_SAMPLE, raw)
    if sample.at_ms is not None:
        refused = implausible(sample.at_ms, envelope.sent_ms)
        if refused is not None:
            raise refused
    series = series_of(sample.metric, envelope.source, sample.dimensions, Kind(sample.kind))
    return Point(series, 0.0 if sample.value is None else sample.value, sample.at_ms, sample.sketch)


def labels(metric: str, dimensions: bytes) -> dict[str, str]:
    """The dimensions of one sample, from their JSON.

    Raises:
        BadRecord: When they, or the metric's name, cannot be used.
    """
    return _valid(_SAMPLE, {"metric": metric, "value": 0.0, "dimensions": parsed(dimensions)}).dimensions


def decode_tick(value: bytes) -> Tick:
    """A tick.

    Raises:
        BadRecord: When it cannot be read.
    """
    return _valid(_TICK, parsed(checked_bytes(value)))


def decode_rollups(value: bytes | None) -> RollupRows | Watermark:
    """A record of `metrics.rollups`; columns as the rows that they hold.

    Raises:
        BadRecord: When it cannot be read.
    """
    record = _valid(_ROLLUPS, parsed(checked_bytes(value)))
    return record.rows() if isinstance(record, RollupColumns) else record
