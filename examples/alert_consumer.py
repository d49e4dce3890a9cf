"""A downstream service: reads topic `alerts` and prints one line for each change of an alert's state.

::

    .venv/bin/python examples/alert_consumer.py                     # finds the running instance by `watchkeeper status`
    .venv/bin/python examples/alert_consumer.py --bootstrap kafka:9092 --group pager

The topic is delivered at least once: after a crash a transition may stand in it twice, with the same `id`. So a
consumer drops repeats by `id`. It commits only what it has handled; what it handled just before its own crash it sees
again, so a service that must never act twice keeps the id together with the effect, such as a ticket's key.

Needs aiokafka and nothing of Watchkeeper's code. The form of a value is `docs/contracts/alerts.v1.schema.json`.
"""

import argparse
import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

REMEMBERED_IDS = 100_000
POLL_MS = 1_000
SESSION_TIMEOUT_MS = 10_000


class Repeats:
    """The newest ids, so that a repeat is known; the oldest are forgotten when there are too many."""

    def __init__(self, capacity: int = REMEMBERED_IDS) -> None:
        self._capacity = capacity
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_new(self, transition_id: str) -> bool:
        """Whether the id is seen for the first time; it is remembered."""
        if transition_id in self._ids:
            return False
        self._ids[transition_id] = None
        if len(self._ids) > self._capacity:
            self._ids.popitem(last=False)
        return True


def fresh(values: Sequence[bytes | None], repeats: Repeats) -> Iterator[dict[str, Any]]:
    """The transitions among the values, repeats dropped; what cannot be read is told and passed over."""
    for value in values:
        try:
            transition = json.loads(value or b"")
            version, transition_id = transition["v"], transition["id"]
        except (ValueError, TypeError, KeyError) as error:
            print(f"not a transition: {error!r}", file=sys.stderr)
            continue
        if version != 1:
            print(f"version {version} is not known here", file=sys.stderr)
        elif repeats.is_new(transition_id):
            yield transition


def line(transition: dict[str, Any]) -> str:
    """One line for a person."""
    at = datetime.fromtimestamp(transition["at_ms"] / 1000, tz=UTC).isoformat(timespec="seconds")
    entity = ",".join(f"{name}={value}" for name, value in sorted(transition["entity"].items())) or "-"
    # Late data that would have changed what was decided is told with the state as it stands: nothing is to be done.
    late = bool(transition.get("amends"))
    change = "late data" if late else f"{transition['from_state']} => {transition['to_state']}"
    return f"{at} {transition['severity']:8} {change:24} {transition['rule']} {entity} {transition.get('summary', '')}"


async def consume(bootstrap: str, *, group: str, stop: asyncio.Event, count: int = 0) -> int:
    """Prints transitions until `stop` is set or `count` of them were printed; 0 means no end. Returns how many."""
    consumer = AIOKafkaConsumer(
        "alerts",
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=SESSION_TIMEOUT_MS // 3,
    )
    repeats, printed = Repeats(), 0
    try:
        await consumer.start()
        while not stop.is_set() and (count == 0 or printed < count):
            batches = await consumer.getmany(timeout_ms=POLL_MS)
            for records in batches.values():
                for transition in fresh([record.value for record in records], repeats):
                    print(line(transition), flush=True)
                    printed += 1
            if batches:
                await consumer.commit()
    finally:
        await consumer.stop()
    return printed


def running_instance(data_dir: str | None = None) -> str:
    """Address of Kafka of the instance that runs on this machine, on its own data folder or another one.

    Raises:
        SystemExit: None runs, or the program is not installed.
    """
    beside = Path(sys.executable).with_name("watchkeeper")
    program = str(beside) if beside.is_file() else shutil.which("watchkeeper")
    if program is None:
        sys.exit("watchkeeper is not installed here: give --bootstrap HOST:PORT")
    command = [program, "status", "--json", *(["--data-dir", data_dir] if data_dir else [])]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    try:
        address: str = json.loads(answer.stdout)["addresses"]["kafka"]
    except (ValueError, KeyError, TypeError):
        sys.exit("no instance is running: start `watchkeeper up`, name its --data-dir, or give --bootstrap HOST:PORT")
    return address


async def run(bootstrap: str, *, group: str, count: int) -> None:
    """Consumes until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await consume(bootstrap, group=group, stop=stop, count=count)


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Prints one line for each change of an alert's state.")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="Kafka; default: the instance that runs here")
    parser.add_argument("--data-dir", help="data folder of that instance, where it is not the usual one")
    parser.add_argument("--group", default="alert-consumer", help="consumer group (default: %(default)s)")
    parser.add_argument(
        "--count", type=int, default=0, help="end after the batch with which so many lines were printed; 0: never"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    given = parsed()
    address = given.bootstrap or running_instance(given.data_dir)
    try:
        asyncio.run(run(address, group=given.group, count=given.count))
    except KafkaConnectionError:
        sys.exit(f"Kafka at {address} does not answer: is it running, and is the address right?")
