"""How long one round of the host collector takes, and what it costs."""

import time
from statistics import mean

from rich.progress import Progress

from benchmarks.figures import Figure, Section, p95
from benchmarks.options import Options
from collectors.host import HostCollector
from collectors.probes import all_probes

INTERVAL_S = 1.0

HOW = """The host collector (`collectors/host.py:HostCollector`) reads every probe of this machine, {count} rounds,
one each second as in operation. The duration is that of the whole round; the processor time is that of the process, all
threads of the probes included. The rounds gave {samples:.0f} samples each in the mean."""


def run(options: Options, progress: Progress) -> Section:
    """Measures rounds one second apart."""
    task = progress.add_task("collect: rounds", total=options.collections)
    collector = HostCollector(all_probes())
    # The first reading of a processor's load has none before it.
    collector.collect()
    durations_s, cpu_s, samples = [], [], []
    for _ in range(options.collections):
        time.sleep(INTERVAL_S)
        began_s, used_s = time.perf_counter(), time.process_time()
        samples.append(len(collector.collect()))
        durations_s.append(time.perf_counter() - began_s)
        cpu_s.append(time.process_time() - used_s)
        progress.update(task, advance=1)
    return Section(
        title="Collection",
        how=HOW.format(count=options.collections, samples=mean(samples)),
        figures=[
            Figure(name="collection round, p95", value=p95(durations_s) * 1000, unit="ms", target=1000, strict=True),
            Figure(name="collection round, processor time", value=mean(cpu_s) * 1000, unit="CPU ms"),
        ],
    )
