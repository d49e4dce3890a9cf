"""Cutting a fetched batch: by what is new in it, and by who stamped its records."""

from dataclasses import dataclass

from agents.batches import Batch, Partition


@dataclass(frozen=True, slots=True)
class Record:
    offset: int
    timestamp: int = 0
    timestamp_type: int = 0
    key: bytes | None = None
    value: bytes | None = b""


def batch(*offsets: int) -> Batch:
    return Batch(partition=Partition("logs", 1), records=[Record(offset) for offset in offsets], generation=3, seeks=2)


def offsets(cut: Batch | None) -> list[int]:
    assert cut is not None
    return [record.offset for record in cut.records]


def test_a_batch_that_is_all_new_is_passed_as_it_is() -> None:
    whole = batch(5, 6, 7)
    assert whole.since(5) is whole
    assert whole.since(3) is whole


def test_what_was_seen_is_cut_off() -> None:
    assert offsets(batch(5, 6, 9).since(6)) == [6, 9]
    assert offsets(batch(5, 6, 9).since(7)) == [9]
    assert batch(5, 6, 9).since(10) is None


def test_a_cut_keeps_where_and_when_it_was_fetched() -> None:
    cut = batch(5, 6).since(6)
    assert cut is not None
    assert (cut.partition, cut.generation, cut.seeks) == (Partition("logs", 1), 3, 2)


def test_holes_between_first_and_last_are_counted() -> None:
    assert batch(5, 6, 7).holes == 0
    assert batch(5, 7, 10).holes == 3


def test_a_batch_is_cut_where_the_kind_of_timestamp_changes() -> None:
    records = [Record(offset, timestamp_type=kind) for offset, kind in enumerate([0, 0, 1, 1, 0])]
    cuts = Batch(partition=Partition("logs", 1), records=records, generation=0).by_timestamp_type()
    assert [offsets(cut) for cut in cuts] == [[0, 1], [2, 3], [4]]
    assert [offsets(cut) for cut in batch(5, 6).by_timestamp_type()] == [[5, 6]]
