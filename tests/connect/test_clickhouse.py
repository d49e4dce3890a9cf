"""The ClickHouse client: its errors in few words, and questions that change nothing."""

import pytest

from connect.clickhouse import Store, said
from connect.config import ClickHouseConfig
from schemas.errors import StoreRefused, StoreUnavailable
from tests.ports import free_ports


@pytest.fixture
def store(clickhouse: ClickHouseConfig) -> Store:
    return Store(clickhouse)


def text(store: Store, statement: str) -> str:
    return b"".join(store.raw(statement, "TSV")).decode()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELEC 1", r"^Syntax error: failed at position 1 \(SELEC\).*\(SYNTAX_ERROR\)$|^Syntax error: .*[^:]$"),
        ("SELECT * FROM nowhere", r"^Unknown table expression identifier 'nowhere'.*\(UNKNOWN_TABLE\)$"),
    ],
)
def test_a_refusal_is_said_without_the_address_the_version_and_what_was_expected(
    store: Store, statement: str, words: str
) -> None:
    with pytest.raises(StoreRefused, match=words) as refused:
        text(store, statement)
    message = str(refused.value)
    assert "\n" not in message
    assert not any(noise in message for noise in ("DB::Exception", "for url", "Expected one of", "(version"))


def test_text_that_is_no_unicode_is_refused_in_one_sentence(store: Store) -> None:
    for statement, given in (("SELECT '\udcff'", {}), ("SELECT {one:String}", {"one": "\udcff"})):
        with pytest.raises(StoreRefused, match=r"^the statement, or a value in it, is not UTF-8$"):
            list(store.raw(statement, "TSV", given))


@pytest.mark.parametrize("statement", ["DROP TABLE kept", "INSERT INTO kept VALUES (2)", "TRUNCATE TABLE kept"])
def test_a_question_cannot_change_anything(store: Store, statement: str) -> None:
    store.command("CREATE OR REPLACE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n")
    store.command("INSERT INTO kept VALUES (1)")
    with pytest.raises(StoreRefused, match="the statement would change something, and queries only read"):
        text(store, statement)
    assert text(store, "SELECT n FROM kept SETTINGS max_threads = 1") == "1\n"


def test_a_server_that_is_away_is_said_in_one_sentence() -> None:
    port = free_ports()
    sentence = rf"^ClickHouse does not answer at 127\.0\.0\.1:{port}\. Is it running, and is its address right\?$"
    with pytest.raises(StoreUnavailable, match=sentence):
        text(Store(ClickHouseConfig(host="127.0.0.1", port=port)), "SELECT 1")


def test_a_statement_may_name_its_format(store: Store) -> None:
    assert b"".join(store.raw("SELECT 1 AS n FORMAT JSONEachRow", None)) == b'{"n":1}\n'
    with pytest.raises(StoreRefused, match=r"^Unknown format Nonsense[^()]*\(UNKNOWN_FORMAT\)$"):
        list(store.raw("SELECT 1", "Nonsense"))


def test_words_that_hold_nothing_else_stay() -> None:
    assert said("Code: 1. DB::Exception: ") == "Code: 1. DB::Exception: "
    assert said("anything") == "anything"
