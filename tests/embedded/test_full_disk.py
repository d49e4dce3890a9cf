"""A disk that is full: nothing is acknowledged that was not stored, and nothing is lost that was."""

import http.client
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import embedded_clickhouse
from tests.e2e.running import eventually
from tests.embedded.http import Server
from tests.ports import free_ports
from watchkeeper.embedded.clickhouse import EmbeddedClickHouse

STOP_S = 10.0
FULL_BYTES = 4096
"""No file of a process gets longer: what is longer cannot be written, as on a disk that another program has filled."""

ROWS = 2_000
_INTO = f"INSERT INTO t SELECT {{first}} + number, toString(rand()) FROM numbers({ROWS})"
_ALL = "SELECT count(), uniqExact(n), sum(length(s)) > 0 FROM t"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[EmbeddedClickHouse]:
    """One of the test's own, running, with a table that has some parts, which are not merged yet."""
    one = embedded_clickhouse(tmp_path)
    one.start()
    server = Server("127.0.0.1", one.port)
    server.rows("CREATE TABLE t (n UInt64, s String) ENGINE = ReplacingMergeTree ORDER BY n")
    server.rows("SYSTEM STOP MERGES t")
    for first in range(3):
        server.rows(_INTO.format(first=first * ROWS))
    yield one
    one.stop(STOP_S)


def _fill_disk(service: EmbeddedClickHouse) -> None:
    psutil.Process(service.pid).rlimit(psutil.RLIMIT_FSIZE, (FULL_BYTES, psutil.RLIM_INFINITY))


def _insert_with_data(server: Server) -> None:
    server.send("POST", b"".join(b"%d\tx%d\n" % (n, n) for n in range(ROWS)), query="INSERT INTO t FORMAT TSV")


def _insert_from_a_query(server: Server) -> None:
    server.ask(_INTO.format(first=0))


@pytest.mark.parametrize("insert", [_insert_with_data, _insert_from_a_query])
def test_rows_that_the_disk_did_not_take_are_never_acknowledged(
    service: EmbeddedClickHouse, insert: Callable[[Server], None], tmp_path: Path
) -> None:
    server = Server("127.0.0.1", service.port)
    _fill_disk(service)
    with pytest.raises((http.client.HTTPException, OSError)):
        insert(server)
    eventually("it has ended", lambda: service.pid is None, within_s=STOP_S)
    assert "is the disk full?" in (tmp_path / "clickhouse.log").read_text()
    service.start()
    assert server.rows(_ALL) == [[str(3 * ROWS), str(3 * ROWS), "1"]]


def test_a_merge_that_the_disk_did_not_take_is_undone(service: EmbeddedClickHouse) -> None:
    server = Server("127.0.0.1", service.port)
    _fill_disk(service)
    server.rows("SYSTEM START MERGES t")
    with suppress(http.client.HTTPException, OSError):
        server.ask("OPTIMIZE TABLE t FINAL")
    eventually("it has ended", lambda: service.pid is None, within_s=STOP_S)
    service.start()
    assert server.rows(_ALL) == [[str(3 * ROWS), str(3 * ROWS), "1"]]
    server.rows("OPTIMIZE TABLE t FINAL")
    assert server.rows("SELECT count() FROM system.parts WHERE active AND table = 't'") == [["1"]]


def test_some_of_the_disk_is_left(service: EmbeddedClickHouse) -> None:
    service.stop(STOP_S)
    port = free_ports()
    program = [*service.command()[:-1], str(port), "--keep-free-bytes", str(1 << 60)]
    server = Server("127.0.0.1", port)
    with subprocess.Popen(program, stdout=sys.stderr, stderr=sys.stderr) as process:
        try:
            eventually("it answers", lambda: _answers(server), within_s=30)
            for refused in (_INTO.format(first=0), "INSERT INTO t VALUES (1, 'x')", "OPTIMIZE TABLE t FINAL"):
                reply = server.ask(refused, optimize_throw_if_noop=1)
                assert reply.status == http.client.INTERNAL_SERVER_ERROR, refused
                assert "space" in reply.text, reply.text
            assert server.rows(_ALL) == [[str(3 * ROWS), str(3 * ROWS), "1"]]
        finally:
            process.terminate()


def _answers(server: Server) -> bool:
    try:
        return server.ask("SELECT 1").status == http.client.OK
    except OSError:
        return False
