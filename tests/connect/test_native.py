"""Blocks of format Native, written from arrays: ClickHouse reads in them what was meant."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from connect import native
from connect.clickhouse import Store
from connect.config import ClickHouseConfig
from schemas.errors import StoreRefused

TEXTS = ["", "x", "wéb\t'1'\n", "y" * 127, "z" * 128, "ü" * 8_200]
COUNTS: list[dict[int, int]] = [{}, {-99_999: 1, 0: 2**40, 99_999: 2**63 - 1}, {}, {7: 1}]
WIDE = {name: name[::-1] for name in map(str, range(32))}
LABELS: list[dict[str, str]] = [{}, {"zone": "", "": "x"}, {"zone": "wéb"}, WIDE]


@pytest.fixture
def store(clickhouse: ClickHouseConfig) -> Iterator[Store]:
    store = Store(clickhouse)
    store.command(
        "CREATE OR REPLACE TABLE default.native (place UInt64, number Float64, text LowCardinality(String),"
        " counts Map(Int32, UInt64), labels Map(LowCardinality(String), String)) ENGINE = MergeTree ORDER BY place"
    )
    yield store
    store.command("DROP TABLE default.native")
    store.close()


NAMES = ("place", "number", "text", "counts", "labels")


def block(texts: list[str], *, first: int = 0, number: str = "Float64") -> bytes:
    """A row for each text, with the counts and the labels that come next."""
    places = np.arange(len(texts)) + first
    counts = [COUNTS[place % len(COUNTS)] for place in places.tolist()]
    keys, values = (np.array([pair[at] for one in counts for pair in one.items()], np.int64) for at in (0, 1))
    different = {text: number for number, text in enumerate(sorted(set(texts)))}
    columns = (
        native.numbers("UInt64", places, "<u8"),
        native.numbers(number, places / 3, "<f8"),
        native.low_cardinality(list(different), np.array([different[text] for text in texts])),
        native.counts(np.array([len(one) for one in counts]), keys, values),
        native.labels(LABELS, places % len(LABELS)),
    )
    return b"".join(native.block(list(zip(NAMES, columns, strict=True)), len(texts)))


def row(place: int, text: str) -> tuple[Any, ...]:
    return (place, place / 3, text, COUNTS[place % len(COUNTS)], LABELS[place % len(LABELS)])


def found(store: Store) -> list[tuple[Any, ...]]:
    return store.rows("SELECT * FROM default.native ORDER BY place")


def test_rows_are_what_the_arrays_say(store: Store) -> None:
    texts = TEXTS * 3
    store.insert_native("default.native", NAMES, block(texts))

    assert found(store) == [row(place, text) for place, text in enumerate(texts)]


@pytest.mark.parametrize("different", [1, 255, 256, 257, 65_537])
def test_places_are_as_wide_as_the_number_of_keys_asks_for(store: Store, different: int) -> None:
    texts = [f"text {number:06}" for number in range(different)]
    store.insert_native("default.native", NAMES, block(texts))

    assert [text for _, _, text, *_ in found(store)] == texts


def test_blocks_one_behind_the_other_are_one_insert(store: Store) -> None:
    store.insert_native("default.native", NAMES, block(TEXTS) + block(["last"], first=len(TEXTS)))

    assert found(store) == [row(place, text) for place, text in enumerate([*TEXTS, "last"])]


def test_maps_may_all_be_empty(store: Store) -> None:
    nothing = np.zeros(0, np.int64)
    columns = {
        "place": native.numbers("UInt64", np.arange(2), "<u8"),
        "counts": native.counts(np.zeros(2, np.int64), nothing, nothing),
        "labels": native.labels([{}], np.zeros(2, np.int64)),
    }
    store.insert_native("default.native", tuple(columns), b"".join(native.block(list(columns.items()), 2)))

    assert [tuple(one[3:]) for one in found(store)] == [({}, {})] * 2


def test_numbers_of_another_type_than_the_tables_are_refused_and_not_cut_off(store: Store) -> None:
    with pytest.raises(StoreRefused, match="Float64"):
        store.insert_native("default.native", NAMES, block(TEXTS, number="UInt64"))
    assert found(store) == []
