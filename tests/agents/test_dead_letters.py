"""What a dead letter keeps of the record that it stands for."""

from base64 import b64decode
from hashlib import sha256

import pytest

from agents.batches import Partition
from agents.dead_letters import MAX_FAULTS, dead_letter
from schemas.deadletters import MAX_KEPT_BYTES, DeadLetter, Fault
from schemas.errors import Reason
from schemas.records import MAX_RECORD_BYTES
from tests.agents.test_batches import Record

FAULT = Fault(reason=Reason.BAD_SHAPE, detail="no", sample=0)


def letter_for(record: Record, faults: list[Fault]) -> DeadLetter:
    message = dead_letter(record, faults, partition=Partition("metrics.samples", 3), epoch="e1")
    assert message.topic == "deadletters"
    assert message.key == b"metrics.samples-3-17"
    assert message.value is not None
    assert len(message.value) < MAX_RECORD_BYTES
    return DeadLetter.model_validate_json(message.value)


def test_the_bytes_are_kept_as_they_came() -> None:
    value = b'{"v":1,\xff\x00'
    letter = letter_for(Record(17, key=b"host-1", value=value), [FAULT])
    assert letter.value_base64 is not None
    assert letter.key_base64 is not None
    assert b64decode(letter.value_base64) == value
    assert b64decode(letter.key_base64) == b"host-1"
    assert (letter.topic, letter.epoch, letter.partition, letter.offset) == ("metrics.samples", "e1", 3, 17)
    assert letter.value_sha256 == sha256(value).hexdigest()
    assert letter.faults == [FAULT]


def test_a_null_value_and_a_null_key_stay_null() -> None:
    letter = letter_for(Record(17, key=None, value=None), [FAULT])
    assert letter.value_base64 is None
    assert letter.key_base64 is None
    assert letter.value_bytes == 0


def test_of_a_huge_record_the_first_part_is_kept_with_the_length_and_hash_of_the_whole() -> None:
    value = b"x" * 10_000_000
    letter = letter_for(Record(17, key=b"k" * 1_000_000, value=value), [FAULT])
    assert letter.value_base64 is not None
    assert len(b64decode(letter.value_base64)) == MAX_KEPT_BYTES
    assert letter.value_bytes == len(value)
    assert letter.value_sha256 == sha256(value).hexdigest()


def test_of_very_many_faults_the_first_are_told_and_the_rest_counted() -> None:
    faults = [Fault(reason=Reason.BAD_SHAPE, detail="x" * 500, sample=index) for index in range(10_000)]
    letter = letter_for(Record(17, value=b"v" * MAX_RECORD_BYTES), faults)
    assert letter.faults[:MAX_FAULTS] == faults[:MAX_FAULTS]
    assert letter.faults[MAX_FAULTS].detail == "and 9900 more samples were refused"


@pytest.mark.parametrize("offset", [0, 2**62])
def test_the_key_names_the_record(offset: int) -> None:
    message = dead_letter(Record(offset), [FAULT], partition=Partition("logs", 0), epoch="e")
    assert message.key == b"logs-0-%d" % offset
