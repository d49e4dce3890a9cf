"""Which versions of rules are in force, and that each is written down once, from when it was applied."""

import json

import pytest

from agents.ownership import owner_of
from agents.rule_book import RuleBook
from schemas.control import RuleApplied, RuleControl
from schemas.rules import ThresholdRule
from schemas.rules_of_rules import CompositeRule

PARTITIONS = 2
ALL = frozenset(range(PARTITIONS))


def version(rule: str, number: int, *, removed: bool = False, warning: float = 1.0) -> bytes:
    made = None if removed else ThresholdRule(id=rule, metric="m", warning=warning)
    record = RuleControl(id=f"rule/{rule}", version=number, at_ms=1, by="x", rule=made)
    return record.model_dump_json().encode()


def applied(book: RuleBook, at_ms: int, partitions: frozenset[int] = ALL) -> list[tuple[str, int, int]]:
    found = [RuleApplied.model_validate_json(one.value or b"") for one in book.applied(partitions, at_ms)]
    return sorted((one.id, one.version, one.from_ms) for one in found)


def test_each_version_is_written_down_once_with_the_time_from_which_it_was_applied() -> None:
    book = RuleBook(PARTITIONS)
    assert book.take(version("a", 1))
    assert book.take(version("b", 4))

    assert applied(book, 10_000) == [("applied/a", 1, 10_000), ("applied/b", 4, 10_000)]
    assert applied(book, 20_000) == []
    assert book.take(version("a", 2))
    assert not book.take(version("a", 1))
    assert applied(book, 30_000) == [("applied/a", 2, 30_000)]


def test_of_two_rules_that_were_decided_at_once_the_last_holds_as_it_does_for_those_who_list_them() -> None:
    book = RuleBook(PARTITIONS)
    assert book.take(version("a", 2, warning=1.0))
    assert book.take(version("a", 2, warning=5.0))
    assert not book.take(version("a", 2, warning=5.0))
    assert [getattr(one.rule, "warning", None) for one in book.owned(ALL).values()] == [5.0]


def test_a_removal_is_a_version_too() -> None:
    book = RuleBook(PARTITIONS)
    book.take(version("a", 2, removed=True))

    assert book.owned(ALL) == {}
    assert applied(book, 10_000) == [("applied/a", 2, 10_000)]


def test_what_an_evaluator_before_has_written_down_is_not_written_down_again() -> None:
    book = RuleBook(PARTITIONS)
    before = RuleApplied(id="applied/a", version=2, from_ms=5_000).model_dump_json().encode()
    assert not book.take(before)
    book.take(version("a", 2))
    assert applied(book, 90_000) == []
    book.take(version("a", 3))
    assert applied(book, 90_000) == [("applied/a", 3, 90_000)]


def test_rules_of_other_workers_are_left_to_them() -> None:
    book = RuleBook(PARTITIONS)
    for rule in ("a", "b", "c", "d"):
        book.take(version(rule, 1))
    mine = {rule for rule in ("a", "b", "c", "d") if owner_of(rule, PARTITIONS) == 1}

    assert {id_ for id_, _, _ in applied(book, 10_000, frozenset({1}))} == {f"applied/{rule}" for rule in mine}
    assert book.owned(frozenset({1})).keys() == mine


def test_a_rule_over_rules_brings_along_those_that_other_workers_own_and_its_parts_are_where_it_is() -> None:
    book, whole = RuleBook(PARTITIONS), next(name for name in "abcdefgh" if owner_of(name, PARTITIONS) == 0)
    part = next(name for name in "ijklmnop" if owner_of(name, PARTITIONS) == 1)
    made = CompositeRule(id=whole, kind="composite", rules=(part, "gone"))
    record = RuleControl(id=f"rule/{whole}", version=1, at_ms=1, by="x", rule=made)
    for value in (record.model_dump_json().encode(), version(part, 1)):
        book.take(value)

    (versioned,) = book.owned(frozenset({0})).values()
    assert [one.id for one in versioned.parts] == [part]
    assert {owner_of(f"{whole}~{some}", PARTITIONS) for some in "ijklmnop"} == {0}


@pytest.mark.parametrize("value", [b"{}", b"x", json.dumps({"v": 1, "type": "other", "id": "a"}).encode()])
def test_what_cannot_be_read_is_an_error_and_a_tombstone_is_none(value: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        RuleBook(PARTITIONS).take(value)
    assert not RuleBook(PARTITIONS).take(None)
