"""The faults: what is done to a running instance, where, and how often."""

import signal
from collections.abc import Mapping
from functools import partial

from tests.chaos.crashing import Point
from tests.chaos.load import Rate
from tests.chaos.outages import broken_network, full_disk, lost_nodes, outage
from tests.chaos.perform import Fault
from tests.chaos.proxy import Mode
from tests.chaos.records import all_poison, clocks, disorder, some_poison
from tests.chaos.stage import cluster, embedded_kafka, embedded_tansu, served
from tests.chaos.topics import recreated, replayed
from tests.chaos.workers import ended_instances, hang, kills, points, storm, zombies

OURS = ("collect", "process", "sink", "clickhouse")
ALL = (*OURS, "broker")
NETWORK = (Mode.LATENCY, Mode.RESET, Mode.HALF_OPEN, Mode.SLOW)
STORE = (Mode.REFUSE, Mode.ERROR, Mode.SLOW, Mode.HALF_OPEN, Mode.GONE)
POINTS = tuple(point for point in Point if point is not Point.HANG)
FAULTS: Mapping[str, Fault] = {
    "kills": Fault(
        title="kill -9 of collect, process, sink, ClickHouse at random moments",
        stage=embedded_tansu,
        strike=partial(kills, OURS, signal.SIGKILL),
        short=4,
        long=200,
    ),
    "kills-kafka": Fault(
        title="the same on Apache Kafka, and kill -9 of the broker",
        stage=embedded_kafka,
        strike=partial(kills, ALL, signal.SIGKILL),
        short=5,
        long=200,
    ),
    "restarts": Fault(
        title="SIGTERM to each of them, the broker too: they end in order, and are started again",
        stage=embedded_kafka,
        strike=partial(kills, ALL, signal.SIGTERM),
        short=5,
        long=50,
    ),
    "up": Fault(
        title="kill -9 of `up` itself: all end with it, and it is started again on the same folder",
        stage=embedded_kafka,
        strike=ended_instances,
        short=1,
        long=20,
    ),
    "replayed": Fault(
        title="everything is read again from its first record into the same tables",
        stage=served,
        strike=replayed,
        short=1,
        long=3,
    ),
    "points": Fault(
        title="a process ends itself at named points: " + "; ".join(POINTS),
        stage=served,
        strike=partial(points, POINTS),
        short=len(POINTS),
        long=10 * len(POINTS),
    ),
    "hang": Fault(
        title="the fold hangs: the watchdog ends the process, another takes over",
        stage=served,
        strike=hang,
        short=1,
        long=10,
    ),
    "zombies": Fault(
        title="SIGSTOP of process or sink beyond the session timeout, another takes over, SIGCONT",
        stage=embedded_kafka,
        strike=zombies,
        short=2,
        long=20,
    ),
    "storm": Fault(
        title="two to four workers: one joins or leaves every 3 s, in order or by kill -9",
        stage=embedded_kafka,
        strike=storm,
        short=5,
        long=100,
    ),
    "nodes": Fault(
        title="kill -9 of one of three Kafka nodes, acks=all",
        stage=cluster,
        strike=lost_nodes,
        short=2,
        long=30,
    ),
    "network": Fault(
        title="to Kafka and to ClickHouse: latency, resets, half-open, 1 byte/s",
        stage=served,
        strike=partial(broken_network, NETWORK, ("kafka", "clickhouse")),
        short=8,
        long=120,
    ),
    "clickhouse": Fault(
        title="ClickHouse accepts and closes, answers 500, is slow, half-open, gone",
        stage=served,
        strike=partial(broken_network, STORE, ("clickhouse",)),
        short=5,
        long=80,
    ),
    "outage": Fault(
        title="ClickHouse is gone for N seconds",
        stage=served,
        strike=outage,
        short=12,
        long=300,
        rate=Rate(metrics=50),
    ),
    "disk": Fault(
        title="no room on the disk of ClickHouse, or of the spool while Kafka is away",
        stage=embedded_kafka,
        strike=full_disk,
        short=2,
        long=20,
    ),
    "poison": Fault(
        title="one of a hundred of N records cannot be used",
        stage=served,
        strike=some_poison,
        short=2_000,
        long=50_000,
    ),
    "all-poison": Fault(
        title="none of N records can be used, beside the good ones of others",
        stage=served,
        strike=all_poison,
        short=1_000,
        long=10_000,
    ),
    "disorder": Fault(
        title="5 % duplicates, out of order, later than the lateness; in N bursts",
        stage=served,
        strike=disorder,
        short=10,
        long=200,
    ),
    "clocks": Fault(
        title="clocks an hour behind and ahead, events of the far future and past; in N bursts",
        stage=served,
        strike=clocks,
        short=10,
        long=200,
    ),
    "recreated": Fault(
        title="the topic is deleted and created again",
        stage=served,
        strike=recreated,
        short=1,
        long=10,
    ),
}
