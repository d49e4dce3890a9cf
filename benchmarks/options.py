"""How much is measured. The defaults are those of the published run."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line may change.

    Attributes:
        records: Records of one sample each that `rollup` processes in each round.
        samples: Samples in records of 100 that `rollup` processes in each round.
        rounds: Rounds of `rollup` and `sink`.
        peer_records: How many of the records the peer is given in each round; 0: it is left out.
        rollup_rows: Rollup rows, about, that `sink` stores in each round.
        raw_samples: Samples in records of 100 that `sink` stores in each round.
        windows: Windows that `latency` watches.
        minutes: How long `rest` runs; it is observed in the second half.
        collections: Rounds of `collect`, one each second.
    """

    records: int = 500_000
    samples: int = 2_000_000
    rounds: int = 5
    peer_records: int = 100_000
    rollup_rows: int = 1_000_000
    raw_samples: int = 500_000
    windows: int = 12
    minutes: float = 10.0
    collections: int = 60


HELP = {
    "records": "rollup: records of one sample in each round",
    "samples": "rollup: samples, in records of 100, in each round",
    "rounds": "rollup, sink: rounds",
    "peer_records": "rollup: records that the peer is given in each round; 0 leaves it out",
    "rollup_rows": "sink: rollup rows, about, in each round",
    "raw_samples": "sink: samples, in records of 100, in each round",
    "windows": "latency: windows that are watched",
    "minutes": "rest: how long it runs; the second half is observed",
    "collections": "collect: rounds",
}
