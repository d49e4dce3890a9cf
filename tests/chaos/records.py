"""Faults in what producers send: records that cannot be used, repeats, disorder, delays and wrong clocks."""

import random
import time
from contextlib import ExitStack
from functools import partial

from tests.chaos.load import wall_ms
from tests.chaos.oracle import Seen
from tests.chaos.producer import DAY_MS, HOUR_MS, Producer, poison
from tests.chaos.stage import Stage
from tests.e2e.running import eventually

BATCH = 50
EVERY_S = 0.25
DUPLICATES = 0.05
LATE = 0.05
LATENESS_MS = 1_500
ALERT = "records-unusable"
ALERT_S = 120.0
COUNTED_S = 60.0
_ALERTS = "SELECT count() FROM watchkeeper.alert_transitions WHERE rule = {rule:String} AND to_state = 'firing'"


def some_poison(stage: Stage, numbers: random.Random, count: int) -> None:
    """So many records of which one in a hundred cannot be used."""
    with Producer(stage, "load-poison-some") as one:
        for first in range(0, count, BATCH):
            numbered = range(first, min(first + BATCH, count))
            one.send([poison(one, numbers) if number % 100 == 99 else one.record() for number in numbered])
            time.sleep(EVERY_S)


def all_poison(stage: Stage, numbers: random.Random, count: int) -> None:
    """At least so many records, none of which can be used, until an alert says so."""
    fired, began_s, sent = _fired(stage), time.monotonic(), 0
    with Producer(stage, "load-poison-all") as one:
        while sent < count or _fired(stage) == fired:
            one.send([poison(one, numbers) for _ in range(BATCH)])
            sent += BATCH
            assert time.monotonic() - began_s < ALERT_S, f"no alert {ALERT}"
            time.sleep(EVERY_S)
    stage.notes.append(f"alert {ALERT}")


def _fired(stage: Stage) -> int:
    found: int = stage.store.rows(_ALERTS, {"rule": ALERT})[0][0]
    return found


class Counted:
    """Holds what the process counts against what the log says, from now on."""

    def __init__(self, stage: Stage, topic: str) -> None:
        self._stage = stage
        self._topic = topic
        eventually("the process is at the end of the log", self._caught_up, within_s=COUNTED_S)
        self._before = self._counts()
        self._log_before = stage.follow().seen()

    def _caught_up(self) -> bool:
        return int(self._stage.figures("process").get("lag_records", BATCH)) < BATCH

    def _counts(self) -> dict[str, float]:
        names = ("duplicates", "late", "skewed")
        return {name: self._stage.metric("process", f"watchkeeper_{name}_total", topic=self._topic) for name in names}

    def wanted(self) -> Seen:
        """What the log says since."""
        now, before = self._stage.follow().seen(), self._log_before
        return Seen(now.duplicates - before.duplicates, now.late - before.late, now.skewed - before.skewed)

    def agree(self) -> Seen:
        """What was counted since, when it is what the log says."""
        return eventually("what was counted is what the log says", self._agreed, within_s=COUNTED_S, every_s=1.0)

    def _agreed(self) -> Seen | None:
        wanted, counts = self.wanted(), self._counts()
        found = {name: count - self._before[name] for name, count in counts.items()}
        same = found == {"duplicates": wanted.duplicates, "late": wanted.late, "skewed": wanted.skewed}
        return wanted if same else None


def disorder(stage: Stage, numbers: random.Random, count: int) -> None:
    """So many bursts, shuffled: some records come twice, some long after their window, all of them out of order."""
    counted = Counted(stage, "metrics.samples")
    with ExitStack() as stack:
        several = [stack.enter_context(Producer(stage, f"load-disorder-{number}")) for number in range(3)]
        sent: dict[str, list[bytes]] = {one.source: [] for one in several}
        for _ in range(count):
            for one in several:
                burst = [one.record(ago_ms=_ago_ms(numbers)) for _ in range(BATCH)]
                known = [*sent[one.source][-4 * BATCH :], *burst]
                burst += numbers.sample(known, round(BATCH * DUPLICATES) or 1)
                numbers.shuffle(burst)
                one.send(burst)
                sent[one.source] += burst
            time.sleep(EVERY_S)
        # In a long run these come after the horizon, and count again.
        for one in several:
            one.send(sent[one.source][:BATCH])
    seen = counted.agree()
    stage.notes.append(f"{seen.duplicates} duplicates dropped, {seen.late} values late")
    assert seen.duplicates >= count
    assert seen.late >= count


def _ago_ms(numbers: random.Random) -> int:
    if numbers.random() < LATE:
        return numbers.randint(20_000, HOUR_MS)
    return numbers.randint(0, LATENESS_MS)


def clocks(stage: Stage, numbers: random.Random, count: int) -> None:
    """So many bursts of sources whose clocks are off by an hour, and of events of tomorrow and of last month."""
    counted, began_ms = Counted(stage, "metrics.samples"), wall_ms()
    with ExitStack() as stack:
        off = {
            stack.enter_context(Producer(stage, f"load-clock-{name}")): clock_ms
            for name, clock_ms in (("behind", -HOUR_MS), ("ahead", HOUR_MS), ("near", HOUR_MS // 6))
        }
        for _ in range(count):
            for one, clock_ms in off.items():
                implausible = one.record(clock_ms=clock_ms, ago_ms=numbers.choice((-DAY_MS, 40 * DAY_MS)))
                burst = [one.record(clock_ms=clock_ms, ago_ms=numbers.randint(0, LATENESS_MS)) for _ in range(BATCH)]
                one.send([*burst, implausible])
            time.sleep(EVERY_S)
    seen = counted.agree()
    stage.notes.append(f"{seen.skewed} records shifted")
    assert seen.skewed >= 2 * count * BATCH
    eventually("windows of the present", partial(_in_the_present, stage, began_ms), within_s=COUNTED_S)


_WINDOWS = """
SELECT min(toUnixTimestamp64Milli(window_start)), max(toUnixTimestamp64Milli(window_start)), count()
FROM watchkeeper.metrics_10s WHERE source IN ('load-clock-behind', 'load-clock-ahead')
"""


def _in_the_present(stage: Stage, began_ms: int) -> bool:
    """Whether the sources whose clocks are an hour off stand where they belong."""
    first_ms, last_ms, windows = stage.store.rows(_WINDOWS)[0]
    return bool(windows and began_ms - 15_000 <= first_ms <= last_ms <= wall_ms())
