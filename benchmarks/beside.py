"""Whom the worker is compared with, what is promised of it, and the table that the documents show of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.figures import Table

ONE, HUNDRED = "records of one sample", "records of 100"
CASES = (ONE, HUNDRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """How many times the worker's processor time a peer needs, and the same in words."""

    times: float
    words: str
    strict: bool = False


LESS = Promise(times=1.0, words="more than the worker", strict=True)
NEAR = Promise(times=1 / 2.5, words="the worker at most 2.5 times as much")


def _times(times: int) -> Promise:
    return Promise(times=times, words=f"at least {times} times")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Something that folds the same log.

    Attributes:
        module: Of `benchmarks.peers`.
        package: The distribution that it shows; it runs in the environment of `requirements/bench.txt` unless `shared`.
        shared: Whether it runs in the worker's environment, with the worker's own dependency.
        slow: Whether it is given only the beginning of the log.
        last_open: Whether it leaves the last window of each series open, so that this one is in no row.
        promises: By case.
    """

    name: str
    module: str
    package: str
    arguments: tuple[str, ...] = ()
    shared: bool = False
    slow: bool = False
    last_open: bool = False
    promises: Mapping[str, Promise] = field(default_factory=dict)


PEERS = (
    Peer(
        name="Faust `take`, tuned buffers",
        module="faust_take",
        package="faust-streaming",
        shared=True,
        slow=True,
        promises={ONE: _times(30)},
    ),
    Peer(
        name="Quix Streams, windowed aggregation",
        module="quix_windows",
        package="quixstreams",
        slow=True,
        last_open=True,
        promises={ONE: _times(12)},
    ),
    Peer(
        name="Bytewax `fold_window`, by series",
        module="bytewax_windows",
        package="bytewax",
        slow=True,
        promises={ONE: _times(20)},
    ),
    Peer(
        name="Bytewax `fold_window`, a dict for each source",
        module="bytewax_windows",
        package="bytewax",
        arguments=("sources",),
        slow=True,
    ),
    Peer(
        name="ClickHouse: JSON to the engine, a materialized view",
        module="clickhouse_view",
        package="chdb",
        promises={ONE: LESS, HUNDRED: LESS},
    ),
    Peer(
        name="a loop by hand: confluent-kafka, msgspec, a dict",
        module="hand_written",
        package="confluent-kafka",
        promises={ONE: NEAR, HUNDRED: NEAR},
    ),
)
WORKER = "the worker"


def cost_name(case: str, name: str) -> str:
    """Name of the figure of what somebody needs."""
    return f"{case}: {name}"


def ratio_name(case: str, name: str) -> str:
    """Name of the figure of what a peer needs over what the worker needs."""
    return f"{case}: {name}, over the worker"


def table(figures: Sequence[Mapping[str, Any]]) -> Table:
    """What stands in `docs/benchmarks.json` of the comparison; no row where it was not measured."""
    known = {one["name"]: one for one in figures}
    rows = [
        [name, case, f"{cost['value']:g}", *_judged(known.get(ratio_name(case, name)), promise)]
        for case in CASES
        for name, promise in ((WORKER, None), *((peer.name, peer.promises.get(case)) for peer in PEERS))
        if (cost := known.get(cost_name(case, name)))
    ]
    headings = ("", "input", "CPU s per million samples", "times the worker's", "promised", "met")
    return Table(title="Beside others", headings=headings, rows=rows)


def _judged(ratio: Mapping[str, Any] | None, promise: Promise | None) -> list[str]:
    if ratio is None:
        return ["", "", ""]
    words = promise.words if promise else ""
    return [f"{ratio['value']:.3g}", words, {None: "", True: "yes", False: "no"}[ratio["met"]]]
