"""Whether a produce request wants an answer, in every form that its head has had."""

import struct

import pytest

from watchkeeper.embedded.turns import wants_answer

OF_OLD, TRANSACTIONAL, FLEXIBLE = 2, 8, 9


def old(acks: int) -> bytes:
    return struct.pack("!hi", acks, 30_000)


def with_transaction(acks: int, name: bytes | None) -> bytes:
    return struct.pack("!h", -1 if name is None else len(name)) + (name or b"") + old(acks)


def flexible(acks: int, name: bytes | None) -> bytes:
    return b"\0" + bytes([0 if name is None else len(name) + 1]) + (name or b"") + old(acks)


@pytest.mark.parametrize("acks", [-1, 0, 1])
def test_only_a_request_without_acknowledgements_wants_none(acks: int) -> None:
    assert wants_answer(OF_OLD, old(acks)) == (acks != 0)
    for name in (None, b"", b"transaction"):
        assert wants_answer(TRANSACTIONAL, with_transaction(acks, name)) == (acks != 0)
        assert wants_answer(FLEXIBLE, flexible(acks, name)) == (acks != 0)


@pytest.mark.parametrize("version", [OF_OLD, TRANSACTIONAL, FLEXIBLE])
@pytest.mark.parametrize("body", [b"", b"\0", b"\0\x7f", b"\x7f\xff\0"])
def test_of_what_is_cut_short_an_answer_is_expected(version: int, body: bytes) -> None:
    assert wants_answer(version, body)
