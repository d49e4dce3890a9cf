"""How much is measured. The defaults are those of the published run."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line may change.

    Attributes:
        records: Records of one sample each that `rollup` and `peers` process in each round.
        samples: Samples in records of 100 that they process in each round, and `growth`.
        rounds: Rounds of `rollup`, `peers` and `sink`; `growth` has at most three of them.
        peer_records: How many of the records the slow peers are given in each round; as large a part of the samples.
        days: Simulated days of `growth`.
        rollup_rows: Rollup rows, about, that `sink` stores in each round.
        raw_samples: Samples in records of 100 that `sink` stores in each round.
        windows: Windows that `latency` watches.
        minutes: How long `rest` runs; it is observed in the second half.
        collections: Rounds of `collect`, one each second.
        faults: Faults that `explain` explains.
        days_past: Days of the past that `backtest` plays.
        breaches: Breaches that `pages` makes, ten in each window.
        scenarios: Scenarios that `scenarios` plays.
        quiet_days: Virtual days of `quiet`.
        folder: Where `nab` finds the Numenta Anomaly Benchmark.
    """

    records: int = 500_000
    samples: int = 2_000_000
    rounds: int = 5
    peer_records: int = 100_000
    days: float = 7.0
    rollup_rows: int = 1_000_000
    raw_samples: int = 500_000
    windows: int = 12
    minutes: float = 10.0
    collections: int = 60
    faults: int = 200
    days_past: float = 30.0
    breaches: int = 470
    scenarios: int = 1_000
    quiet_days: float = 30.0
    folder: str = ""


HELP = {
    "records": "rollup, peers: records of one sample in each round",
    "samples": "rollup, peers, growth: samples, in records of 100, in each round",
    "rounds": "rollup, peers, sink, growth: rounds; growth has at most three",
    "peer_records": "peers: records that those who are slow are given in each round",
    "days": "growth: simulated days",
    "rollup_rows": "sink: rollup rows, about, in each round",
    "raw_samples": "sink: samples, in records of 100, in each round",
    "windows": "latency: windows that are watched",
    "minutes": "rest: how long it runs; the second half is observed",
    "collections": "collect: rounds",
    "faults": "explain: faults",
    "days_past": "backtest: days of the past",
    "breaches": "pages: breaches",
    "scenarios": "scenarios: how many",
    "quiet_days": "quiet: virtual days",
    "folder": "nab: folder of the Numenta Anomaly Benchmark, with its data and labels",
}
