"""One worker in a process of its own: `python -m tests.agents.child '{"bootstrap": ..., "config": {...}}'`.

`explode_at` makes the fold of one partition raise when it is given that offset, as a bug in it would.
"""

import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

from agents.worker import ProcessConfig, process
from connect.config import KafkaConfig
from connect.telemetry import Telemetry
from engine.fold import PartitionFold


def explode_at(topic: str, partition: int, at: int) -> None:
    """Plants the bug."""
    fold = PartitionFold.fold

    def exploding(self: PartitionFold, offsets: Sequence[int], *rest: Any) -> None:
        if (self.config.topic, self.config.partition) == (topic, partition) and at in offsets:
            raise ZeroDivisionError(f"planted at offset {at}")
        fold(self, offsets, *rest)

    PartitionFold.fold = exploding  # type: ignore[method-assign,assignment]


def main() -> int:
    """Runs the worker to its end; its exit code."""
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stdout)
    if "explode_at" in options:
        explode_at(*options["explode_at"])
    kafka = KafkaConfig(bootstrap=options["bootstrap"], idempotent=False)
    with Telemetry("process", port=options.get("port")) as telemetry:
        return process(ProcessConfig(kafka=kafka, **options["config"]), telemetry)


if __name__ == "__main__":
    sys.exit(main())
