"""Apache Kafka as a service of this machine: one node, or one of a cluster."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from watchkeeper.embedded.child import Child, answers, require_free

READY_S = 60.0


class Ports(NamedTuple):
    """Where one node listens: for clients, and for the other nodes."""

    clients: int
    controller: int


class ApacheKafka:
    """Keeps its log in a folder; what it acknowledged survives its being killed.

    Args:
        ports: Of this node.
        folder: Of its settings and its log; made if needed.
        cluster: Of all nodes, this one too, in the order of their numbers; empty: it is the only one.
        number: Its number among them, from 1.
        cluster_id: 22 characters of Base64, the same for all nodes; empty: a new one.
        advertised: The port that clients are told, where something stands between; 0: that of this node.
    """

    name = "broker"

    def __init__(
        self,
        ports: Ports,
        folder: Path,
        log_path: Path,
        *,
        cluster: Sequence[Ports] = (),
        number: int = 1,
        cluster_id: str = "",
        advertised: int = 0,
    ) -> None:
        self._ports = ports
        self._folder = folder
        self._log_path = log_path
        self._cluster = tuple(cluster) or (ports,)
        self._number = number
        self._cluster_id = cluster_id
        self._advertised = advertised or ports.clients
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """Host and port for Kafka clients."""
        return f"127.0.0.1:{self._ports.clients}"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._child.pid if self._child else None

    def command(self) -> list[str]:
        """Program and arguments."""
        voters = ",".join(f"{number}@127.0.0.1:{one.controller}" for number, one in enumerate(self._cluster, 1))
        program = [sys.executable, "-m", "watchkeeper.embedded.apache_kafka.server"]
        program += ["--node", str(self._number), "--port", str(self._ports.clients)]
        program += ["--advertised", str(self._advertised)]
        program += ["--controller-port", str(self._ports.controller), "--voters", voters]
        return [*program, "--folder", str(self._folder), f"--cluster={self._cluster_id}"]

    def start(self) -> None:
        """See `Service.start`. Nodes of a cluster are started beside each other: `launch`, then `await_ready`."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Starts it, and does not wait."""
        for port in self._ports:
            require_free(port, "Apache Kafka")
        self._child = Child(self.name, self.command(), self._log_path)
        self._child.start()

    def await_ready(self) -> None:
        """Returns when it answers. Raises as `Service.start`."""
        if self._child is not None:
            self._child.wait_until(lambda: answers(self._ports.clients), READY_S)

    def stop(self, within_s: float) -> None:
        """See `Service.stop`."""
        if self._child is not None:
            self._child.stop(within_s)
