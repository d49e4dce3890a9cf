"""Rows of topics `access` and `changes`."""

from collections.abc import Iterator

from pydantic import TypeAdapter

from schemas.access import AccessRecord, Account, ApiChange, ApiKey
from sinks.clickhouse.rows import Record, Row, checked_ms, validated

_ACCESS: TypeAdapter[ApiKey | Account] = TypeAdapter(AccessRecord)
_CHANGE = TypeAdapter(ApiChange)
ACCESS_COLUMNS = ("id", "version", "at", "by", "record")
CHANGE_COLUMNS = ("id", "at", "by", "name", "address", "action", "object", "version", "detail")


def access_rows(record: Record, _: str) -> Iterator[Row]:
    """One version of a key or an account. Raises as `validated`."""
    one = validated(_ACCESS, record.value)
    yield (one.id, one.version, checked_ms(one.at_ms), one.by, (record.value or b"").decode())


def change_rows(record: Record, _: str) -> Iterator[Row]:
    """One change. Raises as `validated`."""
    one: ApiChange = validated(_CHANGE, record.value)
    yield (
        *(one.id, checked_ms(one.at_ms), one.by, one.name, one.address, one.action),
        *(one.object, one.version, one.detail),
    )
