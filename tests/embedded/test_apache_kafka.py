"""Apache Kafka from its jars."""

from pathlib import Path

import pytest

from tests.conftest import STOP_S
from tests.ports import free_ports
from watchkeeper.embedded.apache_kafka.service import ApacheKafka, Ports


@pytest.mark.apache_kafka
def test_a_cluster_id_may_begin_with_a_hyphen(tmp_path: Path) -> None:
    ports = Ports(free_ports(), free_ports())
    service = ApacheKafka(ports, tmp_path / "kafka", tmp_path / "broker.log", cluster_id="-kfjtb0nQDKN8cLgWTHvxQ")
    service.start()
    service.stop(STOP_S)
