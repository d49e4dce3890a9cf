"""What rules would have said of the past: rollups of ClickHouse through the state machine of the evaluator."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from connect.clickhouse import Store
from engine.backtest import Backtest
from engine.bounds import columns_of, is_skippable
from engine.evaluator import EvaluatorConfig
from engine.grids import Grid, Span
from engine.history import look_back_ms, of_file, warm_up_ms
from engine.parts import VersionedRule
from engine.rules import metrics_of
from engine.skipping import Skipping, metrics_read
from schemas.alerts import Transition
from schemas.rollup_wire import Mark
from schemas.rules import Compared, OfMetric, RatioRule, Rule, RuleOfRules
from sinks.clickhouse.past_rollups import MINUTES, WINDOWS, PastRollups, Tier, recorded

MAX_CELLS = 4_000_000
"""So many windows of all series are looked at together."""

Tell = Callable[[float], None]
_INPUT = ("past", 0)
_COUNTS = ("sum", "count", "rate", "change")


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What of the past is played.

    Attributes:
        tier: Windows that rules are played over, those left out that cannot be: see `tier_of`.
        from_ms: Alerts that stand here or later count. Rules are evaluated for a while before, so that they stand as
            they would.
        stretches: In which anything was recorded; between them the platform was off.
    """

    store: Store
    tier: Tier
    from_ms: int
    to_ms: int
    stretches: Sequence[tuple[int, int]]

    def has_recorded(self, from_ms: int, to_ms: int) -> bool:
        """Whether anything of a span was recorded that counts."""
        spans = ((max(begin, self.from_ms), min(end, self.to_ms)) for begin, end in self.stretches)
        return any(begin < end and begin <= to_ms and from_ms < end for begin, end in spans)


def past(store: Store, rules: Sequence[Rule], tier: Tier, from_ms: int, to_ms: int) -> Past:
    """The past that some rules need. Raises StoreUnavailable, StoreRefused."""
    window_ms = MINUTES.window_ms
    lead_ms = warm_up_ms(rules, window_ms) + max((rule.remembered_ms for rule in rules), default=0)
    from_ms, to_ms, lead_ms = (one - one % window_ms for one in (from_ms, to_ms, lead_ms))
    found = recorded(store, from_ms - lead_ms, to_ms)
    return Past(store=store, tier=tier, from_ms=from_ms, to_ms=to_ms, stretches=found)


def tier_of(rule: Rule, tier: Tier) -> Tier:
    """The windows that a rule is played over: minutes mean nothing to what is counted over less, or by windows."""
    if isinstance(rule, Compared):
        counts = isinstance(rule, RatioRule) or getattr(rule, "aggregate", "") in _COUNTS
        if rule.windows > 1 or (counts and rule.reach_ms % MINUTES.window_ms):
            return WINDOWS
    return tier


def decided(rules: Sequence[Rule], about: Past, tell: Tell, beside: Iterable[Rule] = ()) -> list[Transition]:
    """What the rules decide, in the order of time; of one time in the order of the rules.

    Args:
        tell: Is told how many milliseconds of how many rules have been played, see `shares`.
        beside: Rules that some of these look at, where they are not among them.
    """
    alone, together = _divided(rules)
    length_ms = sum(to_ms - from_ms for from_ms, to_ms in about.stretches)
    found: list[Transition] = []
    for number, rule in enumerate(alone):
        found += skipping(rule, about, partial(_further, tell, number * length_ms))
    if together:
        known = {rule.id: rule for rule in (*beside, *rules)}
        parts = {name for one in together if isinstance(one, RuleOfRules) for name in one.parts if name in known}
        every = {rule.id: rule for rule in (*together, *(known[name] for name in sorted(parts)))}
        found += stepping(list(every.values()), about, partial(_further, tell, len(alone) * length_ms))
    order = {rule.id: place for place, rule in enumerate(rules)}
    return sorted((one for one in found if one.rule in order), key=lambda one: (one.at_ms, order[one.rule]))


def shares(rules: Sequence[Rule], about: Past) -> int:
    """How many milliseconds of how many rules `decided` plays."""
    alone, together = _divided(rules)
    return (len(alone) + bool(together)) * sum(to_ms - from_ms for from_ms, to_ms in about.stretches)


def _divided(rules: Sequence[Rule]) -> tuple[list[Rule], list[Rule]]:
    """Those that are played each for itself, with skipping, and those that are stepped."""
    alone = [rule for rule in rules if is_skippable(rule)]
    return alone, [rule for rule in rules if not is_skippable(rule)]


def _further(tell: Tell, before: float, done: float) -> None:
    tell(before + done)


def skipping(rule: Rule, about: Past, tell: Tell) -> Iterator[Transition]:
    """One rule, with skipping. While a stretch is played the next one is read."""
    tier = tier_of(rule, about.tier)
    playing = Skipping(VersionedRule(0, rule), tier.window_ms)
    if not about.stretches:
        return
    rollups = PastRollups(about.store, about.stretches[0][0], about.to_ms)
    metrics, columns, back = metrics_read(playing.rule), columns_of(playing.rule), playing.look_back()
    series = max(1, *(rollups.series(metric) for metric in metrics))
    parts = list(_parts(about, tier, min(1440, max(60, MAX_CELLS // series))))

    def read(part: _Part) -> dict[str, Grid]:
        span = Span(part.from_ms - back * tier.window_ms, back + part.windows, tier.window_ms)
        return {metric: rollups.grid(tier, metric, span, columns) for metric in metrics}

    done = 0
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(read, parts[0])
        for place, part in enumerate(parts):
            grids = coming.result()
            if place + 1 < len(parts):
                coming = ahead.submit(read, parts[place + 1])
            yield from playing.play(grids, back, unseen=part.unseen)
            done += part.windows * tier.window_ms
            tell(done)


class _Part(NamedTuple):
    """Windows that are looked at together.

    Attributes:
        unseen: What happened before them is not known.
    """

    from_ms: int
    windows: int
    unseen: bool


def _parts(about: Past, tier: Tier, most: int) -> Iterator[_Part]:
    for place, (begin_ms, end_ms) in enumerate(about.stretches):
        for from_ms in range(begin_ms, end_ms, most * tier.window_ms):
            windows = min(most, (end_ms - from_ms) // tier.window_ms)
            yield _Part(from_ms, windows, unseen=place > 0 and from_ms == begin_ms)


def stepping(rules: Sequence[Rule], about: Past, tell: Tell) -> Iterator[Transition]:
    """Several rules, grid point by grid point."""
    if not about.stretches:
        return
    tier = WINDOWS if any(tier_of(rule, about.tier) is WINDOWS for rule in rules) else about.tier
    window_ms = tier.window_ms
    config = EvaluatorConfig(inputs=frozenset({_INPUT}), window_ms=window_ms, max_catchup_ms=window_ms)
    backtest = Backtest(config, of_file(rules, {}), [], start_ms=about.stretches[0][0], born=False)
    metrics = sorted({name for one in rules if isinstance(one, OfMetric) for name in metrics_of(one)})
    rollups, done = PastRollups(about.store, about.stretches[0][0], about.to_ms), 0
    back_ms = look_back_ms(rules, window_ms)
    for begin_ms, end_ms in about.stretches:
        at_ms = begin_ms
        for start_ms, messages in rollups.rows(tier, metrics, begin_ms - back_ms, end_ms):
            for empty_ms in range(at_ms + window_ms, start_ms + 1, window_ms):
                yield from backtest.decide([_mark(empty_ms)])
            backtest.add(messages)
            at_ms = max(at_ms, start_ms)
            tell(done + max(0, start_ms - begin_ms))
        for last_ms in range(at_ms + window_ms, end_ms + 1, window_ms):
            yield from backtest.decide([_mark(last_ms)])
        done += end_ms - begin_ms
        tell(done)


def _mark(at_ms: int) -> Mark:
    return Mark(_INPUT[0], "", _INPUT[1], at_ms, 0)
