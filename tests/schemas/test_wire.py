"""The hot path's codec says of every record what the reference says."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import reference
from schemas.errors import BadRecord, Reason
from schemas.series import Decoded
from schemas.wire import TICK_PREFIX, Input, SampleDecoder, SampleRecord, SeriesCache, Tick
from tests.schemas.hostile import HUGE, LEAVES, broken, damaged, golden

SAMPLES = golden("metrics.samples.v1")
TICKS = golden("tick.v1")
RECORD = (
    b'{"v":1,"source":"h","boot":"b","seq":1,"sent_ms":5,"at_ms":5,'
    b'"samples":[{"metric":"good","value":1},{"metric":"m","value":2,"dimensions":%b}]}'
)
HOSTILE = broken(SAMPLES + TICKS) | damaged(SAMPLES + TICKS)
INPUTS = HOSTILE | st.sampled_from([*SAMPLES, *TICKS, None, b"", b" ", b"\n", b"\n".join(SAMPLES), b" ".join(SAMPLES)])

Told = tuple[Any, ...]


def of_reference(value: bytes | None) -> Told:
    """What the reference makes of a value."""
    try:
        if value is not None and value.startswith(TICK_PREFIX):
            tick = reference.decode_tick(value)
            return "tick", tick.epoch, tick.at_ms, tick.seq
        return of_decoded(reference.decode_samples(value))
    except BadRecord as bad:
        return "refused", bad.reason


def of_decoded(record: Decoded) -> Told:
    """Identity, times, points and faults."""
    points = [
        (one.series.fingerprint, one.series.kind, one.value.hex(), one.at_ms, one.sketch) for one in record.points
    ]
    faults = [(fault.sample, fault.reason) for fault in record.faults]
    return "record", record.source, record.boot, record.seq, record.sent_ms, record.at_ms, points, faults


def of_wire(decoded: Input) -> Told:
    """The same of what the hot path made of it, with its series looked up as the fold does."""
    if isinstance(decoded, BadRecord):
        return "refused", decoded.reason
    if isinstance(decoded, Tick):
        return "tick", decoded.epoch, decoded.at_ms, decoded.seq
    return of_decoded(decoded) if isinstance(decoded, Decoded) else of_record(decoded)


def of_record(record: SampleRecord) -> Told:
    cache = SeriesCache()
    points, faults = [], []
    for index, sample in enumerate(record.samples):
        try:
            series = cache[record.source, sample.metric, sample.kind, bytes(sample.dimensions)]
        except BadRecord as bad:
            faults.append((index, bad.reason))
            continue
        refused = None if sample.at_ms is None else reference.implausible(sample.at_ms, record.sent_ms)
        if refused is None:
            points.append((series.fingerprint, series.kind, sample.value.hex(), sample.at_ms, None))
        else:
            faults.append((index, refused.reason))
    return "record", record.source, record.boot, record.seq, record.sent_ms, record.at_ms, points, faults


def decoded(values: Sequence[bytes | None]) -> list[Told]:
    return [of_wire(one) for one in SampleDecoder().decode_batch(values)]


@pytest.mark.parametrize("line", SAMPLES + TICKS)
def test_golden_lines_are_what_the_reference_says(line: bytes) -> None:
    (told,) = decoded([line])

    assert told == of_reference(line)
    assert told[0] == ("tick" if line in TICKS else "record")


def test_a_golden_line_without_sketches_takes_the_fast_way() -> None:
    records = SampleDecoder().decode_batch(SAMPLES)

    assert [type(record) is SampleRecord for record in records] == [b'"sketch"' not in line for line in SAMPLES]


@given(HOSTILE)
@settings(max_examples=600)
def test_a_broken_record_is_what_the_reference_says(value: bytes) -> None:
    assert decoded([value]) == [of_reference(value)]


@given(st.lists(INPUTS, max_size=6))
@settings(max_examples=300)
def test_a_batch_gives_for_each_value_what_it_gives_alone(values: list[bytes | None]) -> None:
    assert decoded(values) == [of_reference(value) for value in values]


ONE, TWO, THREE = (RECORD.replace(b'"seq":1', b'"seq":%d' % seq) % b"{}" for seq in (1, 2, 3))
CUT = len(b'{"v":1,')


@pytest.mark.parametrize(
    "values",
    [
        [ONE + TWO, b"", THREE],
        [ONE + TWO, b" ", THREE],
        [ONE + b" " + TWO, THREE, b"\t"],
        [ONE + TWO, THREE, ONE[:CUT], ONE[CUT:]],
        [ONE[:CUT], ONE[CUT:], TWO + THREE],
        [b"", ONE + TWO],
        [ONE + TWO, b"{}"],
    ],
)
def test_two_records_in_one_value_do_not_make_up_for_one_that_is_empty_or_cut(values: list[bytes]) -> None:
    assert decoded(values) == [of_reference(value) for value in values]


@pytest.mark.parametrize("field", ["at_ms", "sketch"])
@pytest.mark.parametrize("number", [b"1e400", b"-1e999", b"1.7976931348623159e308", b"1e99999999999999999999", b"5.0"])
def test_a_number_that_is_too_large_is_not_taken_for_none(field: str, number: bytes) -> None:
    value = (RECORD % b"{}").replace(b'"value":1', b'"value":1,"%b":%b' % (field.encode(), number))
    assert decoded([value]) == [of_reference(value)]


@pytest.mark.parametrize("leaf", LEAVES + HUGE, ids=repr)
@pytest.mark.parametrize("place", [b'"seq":1', b'"value":1', b'"metric":"good"', b'"v":1,'])
def test_a_hostile_value_in_any_field_is_what_the_reference_says(place: bytes, leaf: bytes) -> None:
    name = place.partition(b":")[0]
    # In place of the value, in front of it under the same name, and under a name that nobody knows.
    for written in (name + b":" + leaf, name + b":" + leaf + b"," + place, b'"added":' + leaf + b"," + place):
        value = (RECORD % b"{}").replace(place.rstrip(b","), written.rstrip(b","), 1)
        assert decoded([value]) == [of_reference(value)], value[:300]


@pytest.mark.parametrize("leaf", LEAVES, ids=repr)
def test_hostile_dimensions_are_what_the_reference_says(leaf: bytes) -> None:
    for dimensions in (leaf, b'{"a":%b}' % leaf, b'{"a":%b,"a":"b"}' % leaf, b"{%b:1}" % leaf, b'{%b:"b"}' % leaf):
        value = RECORD % dimensions
        assert decoded([value]) == [of_reference(value)], value[:300]


@pytest.mark.parametrize(("dimensions", "reason"), [(HUGE[1], Reason.TOO_DEEP), (HUGE[4], Reason.NOT_JSON)])
def test_dimensions_that_no_parser_takes_are_a_fault_of_their_sample_alone(dimensions: bytes, reason: Reason) -> None:
    (told,) = decoded([RECORD % dimensions])

    assert told[-1] == [(1, reason)]
    assert len(told[-2]) == 1
    assert of_reference(RECORD % dimensions) == ("refused", reason)
