"""`python -m watchkeeper.embedded.apache_kafka.server`: formats a folder if it is new, and becomes the broker."""

import argparse
import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import WatchkeeperError
from watchkeeper.embedded.apache_kafka.jars import class_path, java

HEAP_MB = 512
PROPERTIES = "server.properties"
_LOGGING = """rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
"""

MAX_RECORD_BYTES = 8 * 1024 * 1024


def properties(
    *, node: int, port: int, advertised: int, controller_port: int, voters: str, data: Path
) -> Mapping[str, str]:
    """The settings of one node that is broker and controller.

    Args:
        node: Its number in the cluster.
        advertised: The port that clients are told.
        voters: All nodes, each `NUMBER@HOST:CONTROLLER_PORT`, separated by commas.
        data: Folder of its log.
    """
    replicas = str(min(3, voters.count("@")))
    in_sync = "2" if replicas == "3" else "1"
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{advertised}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        # One group, few members: waiting for more of them only delays the first assignment.
        "group.initial.rebalance.delay.ms": "0",
        # A node that was killed and comes back waits until its former self counts as dead.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "message.max.bytes": str(MAX_RECORD_BYTES),
        "replica.fetch.max.bytes": str(MAX_RECORD_BYTES),
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.recovery.threads.per.data.dir": "2",
    }


def main() -> int:
    """Formats, then becomes the broker: this process id is the broker's."""
    parser = argparse.ArgumentParser()
    for name in ("--node", "--port", "--advertised", "--controller-port"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--voters", required=True)
    parser.add_argument("--cluster", default="")
    parser.add_argument("--folder", type=Path, required=True)
    asked = parser.parse_args()
    try:
        program = [java(), f"-Xmx{HEAP_MB}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        program += [f"-Dlog4j2.configurationFile={asked.folder / 'log4j2.properties'}", "-cp", class_path()]
    except WatchkeeperError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    asked.folder.mkdir(parents=True, exist_ok=True)
    data, settings = asked.folder / "data", asked.folder / PROPERTIES
    known = properties(
        node=asked.node,
        port=asked.port,
        advertised=asked.advertised,
        controller_port=asked.controller_port,
        voters=asked.voters,
        data=data,
    )
    settings.write_text("".join(f"{name} = {value}\n" for name, value in known.items()), encoding="utf-8")
    (asked.folder / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
    if not (data / "meta.properties").is_file():
        cluster = asked.cluster or base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        # It may begin with a hyphen.
        format_it = [*program, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(settings)]
        if code := subprocess.run(format_it, stdout=subprocess.DEVNULL, check=False).returncode:
            return code
    os.execv(program[0], [*program, "kafka.Kafka", str(settings)])  # noqa: S606  (this process becomes it)
    return 0


if __name__ == "__main__":
    sys.exit(main())
