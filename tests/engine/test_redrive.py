"""Which refused records may be sent again, and that those count once, in their own time."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fold import PartitionFold
from engine.fold_config import Start
from engine.redrive import Attempt, Attempts, Fate, Letter, Place, Verdict, arrived, refusal, sent_again, verdict
from schemas.deadletters import MAX_KEPT_BYTES, MAX_KEY_BYTES
from schemas.wire import Input, SampleDecoder, Tick, encode
from tests.engine.logs import CONFIG, EPOCH, newest, rows_of

T = 1_790_000_000_000
HOUR_MS = 3_600_000
BOUND_MS = CONFIG.skew_bound_ms
PLACE = ("metrics.samples", "e1", 2, 17)


def record(**fields: Any) -> bytes:
    whole = {"v": 1, "source": "s", "boot": "b", "seq": 7, "sent_ms": T, "at_ms": T - 300}
    return json.dumps({**whole, "samples": [{"metric": "m", "value": 1.50}], **fields}).encode()


def letter(value: bytes | None = None, **fields: Any) -> Letter:
    kept = record() if value is None else value
    plain = Letter(PLACE, "process", True, b"s", kept, len(kept), T + 40)
    return plain._replace(**fields)


def test_a_record_that_was_refused_as_a_whole_may_be_sent_again() -> None:
    assert refusal(letter()) is None
    assert refusal(letter(b"\xff not json")) is None
    assert refusal(letter()._replace(value=None, value_bytes=0, key=None)) is None


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (letter(whole=False), "would count twice: only some of its samples"),
        (letter(refused_by="sink"), "counts in the rollups already"),
        (letter(value_bytes=MAX_KEPT_BYTES + 1), f"is cut: {MAX_KEPT_BYTES} of its {MAX_KEPT_BYTES + 1} bytes"),
        (letter(key=b"k" * MAX_KEY_BYTES), "may be cut"),
        (letter(encode(Tick(1, "other", T))), "is a tick"),
        (letter(place=("control", "e", 0, 1), refused_by="sink"), "would take the place of a newer record"),
        (letter(place=("alerts.state", "e", 0, 1), refused_by="sink"), "would take the place of a newer record"),
        (letter(place=("gone", "e", 0, 1)), "is of a topic that nothing reads"),
        (letter(record(at_ms=T + 61_000)), "has a time that cannot be: at_ms .* is 61000 ms later than sent_ms"),
        (letter(record(at_ms=T - 36 * 86_400_000)), "has a time that cannot be: .* before sent_ms"),
        (
            letter(record(samples=[{"metric": "m", "value": 1}, {"metric": "m", "value": 1, "at_ms": T + 61_000}])),
            "has a time that cannot be",
        ),
    ],
)
def test_a_record_that_would_count_wrong_is_refused_with_the_reason(refused: Letter, why: str) -> None:
    told = refusal(refused)

    assert told is not None
    assert re.match(why, told)


def test_rows_and_transitions_that_clickhouse_refused_may_be_sent_again_as_they_came() -> None:
    for topic in ("metrics.rollups", "alerts"):
        one = letter(b'{"sent_ms":5}', place=(topic, "e", 0, 1), refused_by="sink")
        assert refusal(one) is None
        assert sent_again(one, now_ms=T, skew_bound_ms=BOUND_MS) == b'{"sent_ms":5}'


def test_every_byte_is_sent_again_but_those_of_the_stamp() -> None:
    value = b'{"v":1,"sent_ms":%d,"big":1234567890123456789012,"f":1.50e+3,"s":"\\u00e9","at_ms":%d}' % (T, T)
    again = sent_again(letter(value), now_ms=T + HOUR_MS, skew_bound_ms=BOUND_MS)

    assert again == value.replace(b'"sent_ms":%d' % T, b'"sent_ms":%d' % (T + HOUR_MS))


@pytest.mark.parametrize("value", [b"not json", b"[1]", b'{"sent_ms":"soon"}', b'{"at_ms":1}', b"\xff", b"[" * 9_999])
def test_what_tells_no_time_of_its_sending_is_sent_as_it_came(value: bytes) -> None:
    assert sent_again(letter(value), now_ms=T, skew_bound_ms=BOUND_MS) == value
    assert sent_again(letter()._replace(value=None), now_ms=T, skew_bound_ms=BOUND_MS) is None


def windows(*log: tuple[int, bytes]) -> set[int]:
    """Windows that the records of a log fall into, each given with its time in the log, which ticks tell."""
    fold = PartitionFold(CONFIG, start=Start.FRESH, offset=0)
    values: list[bytes] = []
    for at_ms, value in log:
        values += [encode(Tick(1, EPOCH, at_ms)), value]
    decoded: list[Input] = SampleDecoder().decode_batch(values)
    fold.fold(range(len(decoded)), decoded)
    assert fold.take_faults() == []
    return {start_ms for _, start_ms, _ in newest(rows_of(fold.checkpoint(early=True)))}


@given(
    st.sampled_from([0, 1_500, -1_500, HOUR_MS, 90_000, -200 * HOUR_MS]),
    st.integers(1_000, 30 * 24 * HOUR_MS),
    st.integers(0, 1_500),
)
def test_a_record_that_is_sent_again_falls_into_the_window_that_it_would_have_had(
    error_ms: int, later_ms: int, delay_ms: int
) -> None:
    """Of a sender whose clock is right, nearly, or far behind or ahead: the fold corrects it as it would have."""
    value = record(sent_ms=T - error_ms, at_ms=T - error_ms)
    refused = letter(value, clock_ms=T)
    again = sent_again(refused, now_ms=T + later_ms, skew_bound_ms=BOUND_MS)
    assert again is not None

    # The log's clock is as exact as its ticks: T begins a window, so that all times stay in it.
    assert windows((T + later_ms + delay_ms, again)) == windows((T, value))


def test_without_the_clock_of_the_log_the_senders_is_taken_to_be_right() -> None:
    again = sent_again(letter(clock_ms=None), now_ms=T + 5, skew_bound_ms=BOUND_MS)

    assert again is not None
    assert json.loads(again)["sent_ms"] == T + 5


ATTEMPT = Attempt(to_epoch="e1", to_partition=2, from_offset=100, value_sha256="a")


def known(*, begun: Attempt | None = None, sent: bool = False, place: Place = PLACE) -> Attempts:
    attempts = Attempts()
    if begun is not None:
        attempts.begun(place, begun)
    if sent:
        attempts.sent(place)
    return attempts


@pytest.mark.parametrize(
    ("attempts", "fate"),
    [
        (known(), Fate.SEND),
        (known(begun=ATTEMPT), Fate.LOOK),
        (known(begun=ATTEMPT, sent=True), Fate.SENT),
        (known(begun=ATTEMPT._replace(to_epoch="e0")), Fate.REFUSED),
        (known(begun=ATTEMPT._replace(from_offset=3)), Fate.REFUSED),
        (known(sent=True, place=("logs", "e1", 2, 17)), Fate.SEND),
    ],
)
def test_what_was_sent_is_not_sent_again_and_of_what_was_cut_off_the_log_is_asked(
    attempts: Attempts, fate: Fate
) -> None:
    assert verdict(letter(), attempts, epoch="e1", beginnings={2: 4}).fate is fate


def test_a_refusal_is_told_as_a_sentence() -> None:
    told = verdict(letter(refused_by="sink"), known(), epoch="e1", beginnings={})

    assert told == Verdict(Fate.REFUSED, "it counts in the rollups already: only its raw row was refused")


def test_attempts_of_two_origins_are_known_together() -> None:
    together = known(begun=ATTEMPT)
    together.update(known(begun=ATTEMPT._replace(from_offset=200), sent=True, place=("logs", "e", 0, 1)))
    together.update(known(begun=ATTEMPT._replace(from_offset=300)))

    assert [one.from_offset for one in together.of(PLACE)] == [100, 300]
    assert together.is_sent(("logs", "e", 0, 1))
    assert not together.is_sent(PLACE)


@pytest.mark.parametrize(
    ("found", "stands"),
    [
        ({("metrics.samples", 2, "a"): 100}, True),
        ({("metrics.samples", 2, "a"): 99}, False),
        ({("metrics.samples", 1, "a"): 100}, False),
        ({("metrics.samples", 2, "b"): 100}, False),
        ({("logs", 2, "a"): 100}, False),
        ({}, False),
    ],
)
def test_an_attempt_arrived_if_its_value_stands_where_it_was_sent_or_behind(
    found: dict[tuple[str, int, str], int], stands: bool
) -> None:
    assert arrived("metrics.samples", [ATTEMPT], found) is stands
