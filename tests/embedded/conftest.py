"""The ClickHouses that one suite holds for: the embedded one, and a server where Docker runs."""

from collections.abc import Iterator

import pytest

from connect.config import ClickHouseConfig
from tests.embedded.http import Server

CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:26.9"


@pytest.fixture(scope="module")
def embedded(clickhouse: ClickHouseConfig) -> Server:
    """The embedded one."""
    return Server(clickhouse.host, clickhouse.port)


@pytest.fixture(scope="module")
def container() -> Iterator[Server]:
    """A server in a container."""
    from testcontainers.clickhouse import ClickHouseContainer

    with ClickHouseContainer(CLICKHOUSE_IMAGE, port=8123) as running:
        port = int(running.get_exposed_port(8123))
        yield Server(running.get_container_host_ip(), port, running.username, running.password)


@pytest.fixture(params=["embedded", pytest.param("container", marks=pytest.mark.containers)])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of them, with an empty table `t`."""
    chosen: Server = request.getfixturevalue(request.param)
    chosen.rows("DROP TABLE IF EXISTS t")
    chosen.rows("CREATE TABLE t (id UInt64, name String, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY id")
    return chosen
