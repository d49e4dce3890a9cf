"""What is the embedded ClickHouse's own: its folder, its end, its limits, and whom it does not answer."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import BadSettings, TransientError
from tests.conftest import embedded_clickhouse
from tests.embedded.http import Server
from tests.ports import free_ports
from watchkeeper.embedded.clickhouse import EmbeddedClickHouse
from watchkeeper.embedded.http_bodies import MAX_BODY_BYTES

ROOT = Path(__file__).parents[2]
STOP_S = 10.0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[EmbeddedClickHouse]:
    """One of the test's own, running."""
    one = embedded_clickhouse(tmp_path)
    one.start()
    yield one
    one.stop(STOP_S)


def asking(service: EmbeddedClickHouse) -> Server:
    return Server("127.0.0.1", service.port)


def fill(server: Server) -> None:
    server.rows("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
    server.rows("CREATE DATABASE d")
    server.rows("CREATE TABLE d.t (n UInt64) ENGINE = ReplacingMergeTree ORDER BY n")
    server.rows("CREATE VIEW v AS SELECT sum(n) AS total FROM t")


def test_a_stop_and_a_start_find_tables_views_and_rows_again(service: EmbeddedClickHouse) -> None:
    server = asking(service)
    fill(server)
    for turn in range(3):
        server.rows(f"INSERT INTO t VALUES ({turn})")
        server.rows(f"INSERT INTO d.t VALUES ({turn})")
        service.stop(STOP_S)
        service.start()
        assert server.rows("SELECT total FROM v") == [[str(sum(range(turn + 1)))]]
        assert server.rows("SELECT count() FROM d.t FINAL") == [[str(turn + 1)]]


def test_what_was_acknowledged_survives_kill_9(service: EmbeddedClickHouse) -> None:
    server = asking(service)
    fill(server)
    for turn in range(5):
        acknowledged = [0]
        stopped = threading.Event()

        def write(turn: int = turn, acknowledged: list[int] = acknowledged, stopped: threading.Event = stopped) -> None:
            try:
                while True:
                    server.rows(f"INSERT INTO t VALUES ({turn * 1_000_000 + acknowledged[0]})")
                    acknowledged[0] += 1
            except (OSError, http.client.HTTPException):
                stopped.set()

        writer = threading.Thread(target=write)
        writer.start()
        while acknowledged[0] < 20:
            stopped.wait(0.001)
        assert service.pid is not None
        os.kill(service.pid, signal.SIGKILL)
        writer.join()
        while service.pid is not None:
            """Until it has ended."""
        service.start()
        span = f"n BETWEEN {turn * 1_000_000} AND {turn * 1_000_000 + acknowledged[0] - 1}"
        assert server.rows(f"SELECT count(), uniqExact(n) FROM t WHERE {span}") == [[str(acknowledged[0])] * 2]


def test_a_folder_that_is_in_use_is_refused_with_the_remedy(service: EmbeddedClickHouse, tmp_path: Path) -> None:
    other = EmbeddedClickHouse(tmp_path / "data", free_ports(), tmp_path / "other.log")
    with pytest.raises(TransientError, match=r"is in use by another process\. Stop that one"):
        other.start()
    assert other.pid is None
    assert asking(service).rows("SELECT 1") == [["1"]]


def test_a_port_that_is_taken_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadSettings, match="Choose other ports"):
            EmbeddedClickHouse(tmp_path / "data", port, tmp_path / "log").start()
        command = [sys.executable, "-m", "watchkeeper.embedded.clickhouse_server", "--path", str(tmp_path / "data")]
        command += ["--port", str(port)]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert ended.returncode == 2
    assert f"Port {port} for ClickHouse is taken" in ended.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM file('/etc/passwd', LineAsString)",
        "SELECT * FROM `file`('/etc/passwd', LineAsString)",
        "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'TSV', 'x String')",
        "SELECT * FROM remote('127.0.0.1', system.one)",
        "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
        "SELECT * FROM executable('id', TSV, 'x String')",
        "SELECT * FROM python(1)",
        "SELECT 1 INTO OUTFILE 'here'",
        "INSERT INTO FUNCTION file('here.csv') SELECT 1",
        "CREATE TABLE f (x String) ENGINE = File(CSV)",
        "CREATE TABLE f (x String) ENGINE = URL('http://127.0.0.1:1/')",
        "CREATE DICTIONARY f (x UInt64) PRIMARY KEY x SOURCE(FILE(PATH '/etc/passwd' FORMAT TSV)) LAYOUT(FLAT())",
        "CREATE USER mallory",
        "SYSTEM SHUTDOWN",
    ],
)
def test_files_programs_and_other_machines_are_out_of_reach(embedded: Server, tmp_path: Path, statement: str) -> None:
    reply = embedded.ask(statement)
    assert reply.status >= http.client.BAD_REQUEST, reply.text
    assert reply.code in (1, 48, 56, 62, 291, 497), reply.text
    assert "root:" not in reply.text
    assert embedded.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Origin", "http://example.test"),
        ("Origin", "null"),
        ("Host", "example.test"),
        ("Host", "127.0.0.1.example.test"),
        ("Sec-Fetch-Site", "cross-site"),
    ],
)
def test_pages_of_other_hosts_get_no_answer(embedded: Server, header: str, value: str) -> None:
    reply = embedded.send("POST", b"SELECT 1", headers={header: value})
    assert (reply.status, reply.text) == (403, "This ClickHouse answers programs on this machine only.\n")


def test_a_body_that_is_too_long_is_refused_before_it_is_read(embedded: Server) -> None:
    reply = embedded.send("POST", b"", headers={"Content-Length": str(MAX_BODY_BYTES + 1)})
    assert reply.status == http.client.REQUEST_ENTITY_TOO_LARGE


def test_a_small_body_that_unpacks_to_too_much_is_refused(embedded: Server) -> None:
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(MAX_BODY_BYTES // (1 << 20) + 1)) + packer.flush()
    reply = embedded.send("POST", packed, headers={"Content-Encoding": "gzip"})
    assert reply.status == http.client.REQUEST_ENTITY_TOO_LARGE


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"not gzip", {"Content-Encoding": "gzip"}),
        (b"SELECT 1", {"Content-Encoding": "brotli"}),
        (b"", {"Content-Length": "many"}),
        (b"SELECT 1", {"Content-Length": "-1"}),
    ],
)
def test_a_body_that_is_not_what_its_headers_say_is_refused(
    embedded: Server, body: bytes, headers: dict[str, str]
) -> None:
    reply = embedded.send("POST", body, headers=headers)
    assert (reply.status, reply.text.startswith("Bad request: ")) == (400, True)


def test_a_sender_that_goes_away_inserts_nothing(embedded: Server) -> None:
    embedded.rows("DROP TABLE IF EXISTS gone")
    embedded.rows("CREATE TABLE gone (n UInt64) ENGINE = MergeTree ORDER BY n")
    with socket.create_connection((embedded.host, embedded.port)) as sender:
        sender.sendall(
            b"POST /?query=INSERT+INTO+gone+FORMAT+TSV HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1\n2\n"
        )
        sender.shutdown(socket.SHUT_WR)
        assert sender.recv(100).startswith(b"HTTP/1.1 400")
    assert embedded.rows("SELECT count() FROM gone") == [["0"]]


def test_rows_that_cannot_even_be_held_are_never_acknowledged(embedded: Server) -> None:
    embedded.rows("CREATE TABLE refusing (n UInt64, m UInt64 DEFAULT throwIf(n > 4)) ENGINE = MergeTree ORDER BY n")
    reply = embedded.send("POST", b"3\n7\n", query="INSERT INTO refusing (n) FORMAT TSV")
    assert (reply.status, reply.code) == (500, 241), reply.text
    assert embedded.rows("SELECT count() FROM refusing") == [["0"]]
    embedded.rows("DROP TABLE refusing")


def test_a_query_that_wants_too_much_memory_is_refused_and_the_next_one_answered(embedded: Server) -> None:
    reply = embedded.ask("SELECT groupArray(number) FROM numbers(1000000000)", max_memory_usage=50_000_000)
    assert reply.code == 241, reply.text
    assert embedded.rows("SELECT 1") == [["1"]]


def test_a_query_that_runs_too_long_is_ended(embedded: Server) -> None:
    assert embedded.ask("SELECT sum(cityHash64(number)) FROM system.numbers", max_execution_time=1).code == 159


def test_a_stop_does_not_wait_for_a_long_query(service: EmbeddedClickHouse) -> None:
    server = asking(service)
    ended: list[Exception | int] = []

    def run() -> None:
        try:
            ended.append(server.ask("SELECT sum(sleepEachRow(1)) FROM numbers(60)", max_block_size=1).status)
        except (OSError, http.client.HTTPException) as error:
            ended.append(error)

    asker = threading.Thread(target=run)
    asker.start()
    while server.rows("SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(1)%'") < [["2"]]:
        """Until it runs, beside the one that asks."""
    service.stop(STOP_S)
    asker.join(STOP_S)
    assert ended
    assert ended != [200]
    service.start()
    assert server.rows("SELECT 1") == [["1"]]
