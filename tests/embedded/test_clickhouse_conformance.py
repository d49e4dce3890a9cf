"""What programs expect of ClickHouse's HTTP interface; the embedded one and a server answer alike."""

import gzip
import http.client
import json
import zlib
from collections.abc import Callable

import clickhouse_connect
import pytest

from tests.embedded.http import Server

ROWS = [(1, "one", "2026-01-02 03:04:05.678"), (2, "it's\ttwo\\", "1970-01-01 00:00:00.000")]


def insert(server: Server, count: int = 1) -> None:
    """That many rows with rising numbers."""
    reply = server.ask(f"INSERT INTO t SELECT number, toString(number), 0 FROM numbers({count})")
    assert reply.status == http.client.OK, reply.text


@pytest.mark.parametrize("path", ["/", "/ping"])
def test_it_says_that_it_lives(server: Server, path: str) -> None:
    reply = server.send("GET", path=path)
    assert (reply.status, reply.text) == (200, "Ok.\n")


def test_another_path_is_not_there(server: Server) -> None:
    assert server.send("GET", path="/elsewhere").status == http.client.NOT_FOUND


@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        ("TabSeparated", "1\tone\n"),
        ("CSV", '1,"one"\n'),
        ("JSONEachRow", '{"id":1,"name":"one"}\n'),
        ("TSVWithNames", "id\tname\n1\tone\n"),
        ("Values", "(1,'one')"),
    ],
)
def test_every_format_is_the_same_text(server: Server, format_: str, expected: str) -> None:
    settings = {"output_format_json_quote_64bit_integers": 0}
    assert server.ask(f"SELECT 1 AS id, 'one' AS name FORMAT {format_}", **settings).text == expected
    reply = server.ask("SELECT 1 AS id, 'one' AS name", default_format=format_, **settings)
    assert reply.text == expected
    assert reply.headers["X-ClickHouse-Format"] == format_


def test_json_tells_columns_and_rows(server: Server) -> None:
    told = json.loads(server.ask("SELECT toUInt8(7) AS n FORMAT JSON").body)
    assert (told["meta"], told["data"], told["rows"]) == ([{"name": "n", "type": "UInt8"}], [{"n": 7}], 1)


def test_the_query_may_stand_in_the_address_and_its_data_in_the_body(server: Server) -> None:
    data = b'{"id":1,"name":"one"}\n{"id":2,"name":"two"}\n'
    assert server.send("POST", data, query="INSERT INTO t (id, name) FORMAT JSONEachRow").status == http.client.OK
    assert server.rows("SELECT id, name FROM t ORDER BY id") == [["1", "one"], ["2", "two"]]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t (id, name) VALUES (1, 'a;b'), (2, 'c')",
        "INSERT INTO t (id, name) FORMAT CSV\n1,a;b\n2,c\n",
        'INSERT INTO t (id, name) FORMAT JSONEachRow {"id":1,"name":"a;b"} {"id":2,"name":"c"}',
        "INSERT INTO t (id, name) SELECT number + 1, ['a;b', 'c'][number + 1] FROM numbers(2)",
        "/* FORMAT CSV */ INSERT INTO t (id, name) -- VALUES\n VALUES (1, 'a;b') , (2, 'c') ;",
    ],
)
def test_data_may_follow_its_statement(server: Server, statement: str) -> None:
    assert server.ask(statement).status == http.client.OK
    assert server.rows("SELECT id, name FROM t ORDER BY id") == [["1", "a;b"], ["2", "c"]]


def test_an_empty_line_does_not_end_the_data(server: Server) -> None:
    assert server.send("POST", b"a\n\nb\n", query="INSERT INTO t (name) FORMAT LineAsString").status == http.client.OK
    assert server.rows("SELECT count() FROM t") == [["3"]]


@pytest.mark.parametrize(
    ("encoding", "press"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("", bytes)],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_come_compressed_and_in_chunks(
    server: Server, encoding: str, press: Callable[[bytes], bytes], chunked: bool
) -> None:
    body = press(b"".join(b"%d,x\n" % number for number in range(10_000)))
    sent = iter([body[:100], body[100:]]) if chunked else body
    headers = {"Content-Encoding": encoding} if encoding else {}
    reply = server.send("POST", sent, headers=headers, query="INSERT INTO t (id, name) FORMAT CSV")
    assert reply.status == http.client.OK, reply.text
    assert server.rows("SELECT count(), sum(id) FROM t") == [["10000", str(sum(range(10_000)))]]


@pytest.mark.parametrize(("accepted", "read"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_answers_are_compressed_where_that_is_asked_for(
    server: Server, accepted: str, read: Callable[[bytes], bytes]
) -> None:
    reply = server.send(
        "POST",
        b"SELECT number FROM numbers(100000)",
        headers={"Accept-Encoding": accepted},
        enable_http_compression=1,
    )
    assert reply.headers["Content-Encoding"] == accepted
    assert read(reply.body).split() == [b"%d" % number for number in range(100_000)]


def test_values_are_bound_by_the_server_whatever_is_in_them(server: Server) -> None:
    hostile = "x'; DROP TABLE t; --"
    statement = "SELECT {a:String}, {b:UInt64} + 1, {c:Array(Int8)}"
    found = server.rows(statement, param_a=hostile, param_b=7, param_c="[1,2]")
    assert found == [[hostile.replace("'", "\\'"), "8", "[1,2]"]]


def test_a_database_is_chosen_for_one_request(server: Server) -> None:
    server.rows("CREATE DATABASE IF NOT EXISTS other")
    assert server.rows("SELECT currentDatabase()", database="other") == [["other"]]
    assert server.rows("SELECT currentDatabase()") == [["default"]]
    server.rows("DROP DATABASE other")


def test_a_setting_holds_for_one_request(server: Server) -> None:
    assert server.rows("SELECT getSetting('max_threads')", max_threads=1) == [["1"]]
    server.rows("SET max_block_size = 7")
    assert server.rows("SELECT getSetting('max_block_size') = 7") == [["0"]]


@pytest.mark.parametrize(
    ("statement", "status", "code"),
    [
        ("SELEC 1", 400, 62),
        ("", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("SELECT * FROM nowhere", 404, 60),
        ("SELECT unknown_function(1)", 404, 46),
        ("SELECT toUInt8('x')", 400, 6),
        ("SELECT throwIf(1)", 500, 395),
        ("SELECT 1 FORMAT Nothing", 404, 73),
        ("INSERT INTO t FORMAT CSV\nnot-a-number,x,y\n", 400, None),
    ],
)
def test_a_refusal_has_clickhouses_code_words_and_status(
    server: Server, statement: str, status: int, code: int | None
) -> None:
    reply = server.ask(statement)
    assert reply.status == status, reply.text
    assert reply.code == (code or reply.code) != 0
    assert reply.text.startswith(f"Code: {reply.code}. DB::Exception: ")


def test_nothing_of_a_broken_insert_is_kept(server: Server) -> None:
    reply = server.ask("INSERT INTO t FORMAT CSV\n1,a,0\nbroken,b,0\n")
    assert reply.status != http.client.OK
    assert server.rows("SELECT count() FROM t") == [["0"]]


@pytest.mark.parametrize(
    ("definition", "code"),
    [
        ("n UInt64, CONSTRAINT few CHECK n < 400", 469),
        ("n UInt64, m UInt64 MATERIALIZED throwIf(n > 400)", 395),
        ("n UInt64) ENGINE = MergeTree PARTITION BY n ORDER BY (n", 252),
    ],
)
@pytest.mark.parametrize("format_", ["TSV", "Values", "Native"])
def test_rows_that_cannot_be_stored_are_never_acknowledged(
    server: Server, definition: str, code: int, format_: str
) -> None:
    engine = "" if "ENGINE" in definition else "ENGINE = MergeTree ORDER BY n"
    server.rows("DROP TABLE IF EXISTS refusing")
    server.rows(f"CREATE TABLE refusing ({definition}) {engine}")
    select = f"SELECT number AS n FROM numbers(500) FORMAT {format_}"
    data = server.send("POST", query=select).body
    statement = (
        "INSERT INTO refusing (n) VALUES" if format_ == "Values" else f"INSERT INTO refusing (n) FORMAT {format_}"
    )

    reply = server.send("POST", data, query=statement)
    assert (reply.status, reply.code) == (500, code), reply.text
    assert server.rows("SELECT count() FROM refusing") == [["0"]]
    server.rows("DROP TABLE refusing")


def test_rows_that_there_is_no_memory_for_are_never_acknowledged(server: Server) -> None:
    data = b"".join(b"%d\t%b\t2026-01-02 03:04:05\n" % (number, b"x" * 1_000) for number in range(20_000))
    told = []
    for megabytes in range(2, 130, 4):
        server.rows("TRUNCATE TABLE t")
        reply = server.send("POST", data, query="INSERT INTO t FORMAT TSV", max_memory_usage=megabytes * 1_000_000)
        told.append((reply.status, reply.code))
        assert server.rows("SELECT count() FROM t") == [["20000" if reply.status == http.client.OK else "0"]]
    assert {(200, 0), (500, 241)} == set(told)


@pytest.mark.parametrize(
    "target",
    ["refused", "refused (n)", "TABLE default.refused(n)", "`default` . `refused` (`n`)", "refused (* EXCEPT(m))"],
)
def test_data_goes_into_the_table_however_it_is_named(server: Server, target: str) -> None:
    server.rows("DROP TABLE IF EXISTS refused")
    server.rows("CREATE TABLE refused (n UInt64, m UInt64 DEFAULT n + 1) ENGINE = MergeTree ORDER BY n")
    for number, format_ in enumerate(("JSONEachRow", "Values")):
        data = b'{"n": 0}\n' if format_ == "JSONEachRow" else b"(1, 2)" if target == "refused" else b"(1)"
        clause = "VALUES" if format_ == "Values" else f"FORMAT {format_}"
        reply = server.send("POST", data, query=f"INSERT INTO {target} {clause}")
        assert reply.status == http.client.OK, reply.text
        assert json.loads(reply.headers["X-ClickHouse-Summary"])["written_rows"] == "1"
        assert server.rows(f"SELECT m FROM refused WHERE n = {number}") == [[str(number + 1)]]
    server.rows("DROP TABLE refused")


@pytest.mark.parametrize("statement", ["INSERT INTO t (id) VALUES (1)", "DROP TABLE t", "TRUNCATE TABLE t"])
def test_a_get_request_changes_nothing(server: Server, statement: str) -> None:
    insert(server)
    reply = server.send("GET", query=statement)
    assert (reply.status, reply.code) == (500, 164), reply.text
    assert server.rows("SELECT count() FROM t") == [["1"]]
    assert server.send("GET", query="SELECT count() FROM t").text == "1\n"


def test_an_answer_of_many_megabytes_comes_whole(server: Server) -> None:
    reply = server.ask("SELECT number, repeat('x', 100) FROM numbers(200000) FORMAT TSV")
    assert len(reply.body.splitlines()) == 200_000


def test_an_answer_that_breaks_off_is_not_taken_for_the_whole(server: Server) -> None:
    statement = "SELECT number, throwIf(number = 5000000) FROM numbers(6000000) FORMAT TSV"
    with pytest.raises(http.client.HTTPException):
        server.send("POST", statement.encode(), http_write_exception_in_output_format=0)


def test_many_ask_at_once(server: Server) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda number: server.rows(f"SELECT {number}"), range(200)))
    assert answers == [[[str(number)]] for number in range(200)]


def test_rows_are_replaced_by_the_greatest_version(server: Server) -> None:
    server.rows("DROP TABLE IF EXISTS r")
    server.rows("CREATE TABLE r (k UInt8, v UInt8, ver UInt8) ENGINE = ReplacingMergeTree(ver) ORDER BY k")
    for version in (2, 3, 1):
        server.rows(f"INSERT INTO r VALUES (1, {version * 10}, {version})")
    assert server.rows("SELECT v FROM r FINAL") == [["30"]]
    server.rows("DROP TABLE r")


def test_clickhouse_connect_takes_it_for_a_server(server: Server) -> None:
    client = clickhouse_connect.get_client(
        host=server.host, port=server.port, username=server.user, password=server.password
    )
    client.insert("t", [[row[0], row[1], 0] for row in ROWS], column_names=["id", "name", "at"])
    found = client.query("SELECT id, name FROM t WHERE id >= {least:UInt64} ORDER BY id", parameters={"least": 1})
    assert found.result_rows == [(row[0], row[1]) for row in ROWS]
    with client.query_rows_stream("SELECT number FROM numbers(100000)") as stream:
        assert sum(1 for _ in stream) == 100_000
    client.close()
