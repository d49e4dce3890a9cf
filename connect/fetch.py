"""Records of a fetch as they were parsed, all of one partition at once, instead of one more object for each of them.

aiokafka wraps every record into a `ConsumerRecord`, which takes longer than parsing it (see
`docs/adr/0008-records-in-columns.md`). Its parsed records have the same `offset`, `timestamp`, `timestamp_type`, `key`
and `value`. What is used of it beyond its documented surface is pinned by `tests/connect/test_fetch.py`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException


def give_parsed_records(consumer: AIOKafkaConsumer) -> None:
    """From now on the consumer's fetches give whole parts of a partition, as they were parsed. Safe to repeat.

    Its `max_poll_records` must be None: `max_partition_fetch_bytes` bounds what one fetch brings. It must have been
    started, and must read what is not committed too: aborted transactions are not told apart.
    """
    fetcher: Any = consumer._fetcher
    if type(fetcher._records) is not _Results:
        fetcher._records = _Results(fetcher._records)


class _Results(dict[TopicPartition, Any]):
    """What was fetched and not yet handed out, by partition: results, and errors."""

    def __init__(self, before: dict[TopicPartition, Any]) -> None:
        super().__init__()
        for partition, result in before.items():
            self[partition] = result

    def __setitem__(self, partition: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult:
            result.getall = partial(_all, result)
        super().__setitem__(partition, result)


def _all(result: Any, _: int | None = None) -> Sequence[Any]:
    """Everything that a result has, if it is still wanted; the position moves behind it."""
    if not result.has_more() or not result.check_assignment(result._topic_partition):
        return []
    fetched, result._partition_records = result._partition_records, None
    records = parsed(fetched)
    state = result._assignment.state_value(result._topic_partition)
    state.consumed_to(fetched.next_fetch_offset)
    return records


def parsed(fetched: PartitionRecords) -> list[Any]:
    """The records from `next_fetch_offset` on, which moves behind the last one.

    Raises:
        CorruptRecordException: A checksum is wrong. Nothing is handed out then, and it is fetched again.
    """
    found: list[Any] = []
    batches = fetched._records
    while batches.has_next():
        batch = batches.next_batch()
        if fetched._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {fetched._tp}")
        if not batch.is_control_batch:
            # A batch comes as a whole, though it may have been read in part before.
            start, records = fetched.next_fetch_offset, list(batch)
            found += (
                records if records and records[0].offset >= start else [one for one in records if one.offset >= start]
            )
        # Behind the last record there ever was, though compaction may have taken it.
        fetched.next_fetch_offset = batch.next_offset
    return found
