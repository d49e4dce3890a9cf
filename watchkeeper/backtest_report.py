"""What a backtest found, for people and for programs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from analysis.backtest import Past
from engine.episodes import Difference, Episode, Score, difference
from engine.paging import Page
from schemas.rules import Rule
from watchkeeper.commands.output import table
from watchkeeper.commands.rules import changes
from watchkeeper.words import counted, duration, entity, moment

SHOWN = 20
DAY_MS = 86_400_000
_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Told:
    """What people would have been told of some transitions."""

    episodes: Sequence[Episode]
    pages: Sequence[Page]
    held_back: Mapping[tuple[str, int], str]
    incidents: int


@dataclass(frozen=True, slots=True)
class Report:
    """What became of it, for people and for programs."""

    rules: Sequence[Rule]
    before: Sequence[Rule]
    about: Past
    told: Told
    then: Told
    score: Score | None

    @property
    def days(self) -> float:
        """How much was recorded of the range, in days."""
        about = self.about
        spans = (min(end, about.to_ms) - max(begin, about.from_ms) for begin, end in about.stretches)
        return max(about.tier.window_ms, sum(span for span in spans if span > 0)) / DAY_MS

    def differences(self) -> Iterator[tuple[Rule, Rule, Difference]]:
        """Of each rule that differs from the one in force: that one, it, and their alerts."""
        by_id = {rule.id: rule for rule in self.rules}
        for rule in self.before:
            yield rule, by_id[rule.id], difference(_of(self.then.episodes, rule), _of(self.told.episodes, rule))

    def show(self, path: Path) -> None:
        """Prints it."""
        about, told = self.about, self.told
        asked_days = (about.to_ms - about.from_ms) / DAY_MS
        part = "" if self.days > 0.995 * asked_days else f"; recorded: {duration(self.days * 86_400)} of it"
        print(f"{path}: {moment(about.from_ms)} to {moment(about.to_ms)}, windows of {about.tier.name}{part}\n")
        table(_TITLES, [self._row(rule) for rule in self.rules], empty="")
        receivers = Counter(one.notice.receiver for one in told.pages)
        to = ", ".join(f"{name} {count}" for name, count in receivers.most_common()) if told.pages else ""
        a_day = f", {self._a_day(len(told.pages))} a day" if self.days >= 1 else ""
        print(f"\n{counted(len(told.pages), 'page')}{a_day}{f': {to}' if to else ''}")
        print(f"{counted(told.incidents, 'incident')}; {_held_back(told)}")
        if told.pages:
            print(f"pages by day  {_by_day(told.pages, about)}")
        for line in self._lines():
            print(line)
        if told.pages:
            print(f"\nthe last {min(SHOWN, len(told.pages))} pages")
            table(_PAGE_TITLES, [_page(one) for one in told.pages[-SHOWN:]], empty="")

    def _row(self, rule: Rule) -> Sequence[str]:
        own = _of(self.told.episodes, rule)
        lasted_s = [(one.ended_ms - one.fired_ms) / 1000 for one in own if one.ended_ms is not None]
        standing = sum(one.ended_ms is None for one in own)
        return (
            rule.id, str(len(own)), self._a_day(len(own)), str(sum(one.severity == "critical" for one in own)),
            str(sum(one.flapped for one in own)), duration(median(lasted_s)) if lasted_s else "-",
            duration(max(lasted_s)) if lasted_s else "-", str(standing),
        )  # fmt: skip

    def _a_day(self, count: int) -> str:
        """How many a day; of less than a day that says nothing."""
        return f"{count / self.days:.2f}" if self.days >= 1 else "-"

    def _lines(self) -> Iterator[str]:
        if self.score is not None:
            yield f"\n{_scored(self.score)}"
        for before, after, found in self.differences():
            news = f"{len(found.same)} the same, {len(found.added)} only with the file, {len(found.gone)} only in force"
            yield f"\n{after.id} is in force otherwise: {', '.join(changes(before, after))}"
            count, was = len(found.same) + len(found.added), len(found.same) + len(found.gone)
            yield f"  {counted(count, 'alert')} instead of {was}: {news}"
        if self.before:
            yield f"  pages of these rules: {len(self._pages_of_changed())} instead of {len(self.then.pages)}"

    def _pages_of_changed(self) -> list[Page]:
        ids = {rule.id for rule in self.before}
        return [one for one in self.told.pages if any(alert.rule in ids for alert in one.news)]

    def as_json(self) -> Mapping[str, Any]:
        """The same as one object."""
        about, found = self.about, self.score
        return {
            "from_ms": about.from_ms, "to_ms": about.to_ms, "window_ms": about.tier.window_ms, "days": self.days,
            "incidents": self.told.incidents, "held_back": len(self.told.held_back),
            "alerts": [_episode(one) for one in self.told.episodes],
            "pages": [
                {"at_ms": one.notice.at_ms, "receiver": one.notice.receiver, "route": one.notice.route,
                 "alerts": [{"rule": alert.rule, "entity": alert.entity} for alert in one.news]}
                for one in self.told.pages
            ],
            "labelled": None if found is None else {
                "precision": found.precision, "recall": found.recall, "delays_s": list(found.delays_s),
                "missed": [one.name for one in found.missed],
            },
            "differences": [
                {"rule": after.id, "same": len(one.same), "added": list(map(_episode, one.added)),
                 "gone": list(map(_episode, one.gone))}
                for _, after, one in self.differences()
            ],
        }  # fmt: skip


_TITLES = ("rule", "alerts", "a day", "critical", "flapped", "half end within", "longest", "standing")
_PAGE_TITLES = ("when", "to", "severity", "alert", "more")


def _of(found: Sequence[Episode], rule: Rule) -> list[Episode]:
    return [one for one in found if one.rule == rule.id]


def _episode(one: Episode) -> Mapping[str, Any]:
    return {
        "rule": one.rule, "entity": dict(one.entity), "severity": one.severity, "fired_ms": one.fired_ms,
        "ended_ms": one.ended_ms, "flapped": one.flapped, "summary": one.summary,
    }  # fmt: skip


def _held_back(told: Told) -> str:
    kinds = Counter(by.partition("/")[0] for by in told.held_back.values())
    words = {"silence": "by silences", "maintenance": "by maintenance", "alert": "since others explain them"}
    about = ", ".join(f"{count} {words[kind]}" for kind, count in kinds.most_common())
    return f"held back: {counted(len(told.held_back), 'alert')}{f' ({about})' if about else ''}"


def _by_day(pages: Sequence[Page], about: Past) -> str:
    """A bar for each day, the newest last, and how high the highest is."""
    days = -(-(about.to_ms - about.from_ms) // DAY_MS)
    counts = Counter((about.to_ms - 1 - one.notice.at_ms) // DAY_MS for one in pages)
    most = max(counts.values())
    bars = "".join(_BARS[-(-counts[day] * (len(_BARS) - 1) // most)] for day in reversed(range(days)))
    return f"{bars}  at most {most}"


def _page(one: Page) -> Sequence[str]:
    first, more = one.news[0], len(one.news) - 1
    return (
        moment(one.notice.at_ms),
        one.notice.receiver,
        first.severity,
        first.summary,
        f"and {more} more" if more else "",
    )


def _scored(found: Score) -> str:
    whole = len(found.delays_s) + len(found.missed)
    precision = f"{100 * found.precision:.1f} %" if found.precision is not None else "undefined"
    recall = f"{100 * found.recall:.1f} %" if found.recall is not None else "undefined"
    told = [
        f"against {counted(whole, 'incident')}: precision {precision} ({found.true} of {found.alerts} alerts),"
        f" recall {recall} ({len(found.delays_s)} of {whole})"
    ]
    if found.delays_s:
        told.append(f"found after {duration(median(found.delays_s))} (half), {duration(max(found.delays_s))} (all)")
    if found.missed:
        named = ", ".join(f"{one.name} {entity(one.where)}".strip() for one in found.missed[:SHOWN])
        told.append(f"missed: {named}{f' and {len(found.missed) - SHOWN} more' if len(found.missed) > SHOWN else ''}")
    return "\n".join(told)
