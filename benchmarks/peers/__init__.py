"""What the worker is compared with: each a program of its own, as its documentation shows it, with its buffers tuned.

All fold count, sum, min and max of each series in windows of 10 s and throw their rows away, but for ClickHouse, which
keeps them, with quantiles. Run by `benchmarks.comparison` as `python -m benchmarks.peers.NAME BOOTSTRAP TOPIC RECORDS`
in the environment of `requirements/bench.txt`; each reads the topic from its beginning, and prints one JSON line when
it has processed so many records.
"""
