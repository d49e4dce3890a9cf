"""The conservation ledger of a running pipeline: its logs read again, and counted beside what came of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from connect.clickhouse import Store
from connect.config import KafkaConfig
from connect.log import Log
from engine.ledger import Finding, Span, Stage, compare, judged, kept_together, of_records
from engine.log_clock import UNKNOWN
from engine.recount import Cell, Details, Named, Totals, together
from schemas.topics import INPUTS, ROLLUPS
from sinks.clickhouse.ledger import Books
from watchkeeper.ledger_log import Counted, LedgerLog, Logs, Place, Question
from watchkeeper.words import moment

__all__ = ["Ledger", "Question", "Report", "ledger"]

_RETENTION = "not judged before {}, since Kafka keeps no more of the log"
_BEGINS = "not judged before {}, since the topic, or its present incarnation, begins there"
_NOTED = "not judged before {}, since the sink has noted only from then on how records came"
_OPEN = "not judged from {} on, since a segment of the log has not ended"
_WAITING = "not judged from {{}} on, since it is not all in {} yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What of a partition was compared, by offset and by the log's clock."""

    place: Place
    span: Span
    from_ms: int
    to_ms: int


@dataclass(slots=True)
class Report:
    """What balances and what does not.

    Attributes:
        unjudged: What could not be judged: by reason, with a gap for the time, the partitions and that time.
    """

    judged: list[Judged] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unjudged: dict[str, dict[Place, int]] = field(default_factory=lambda: defaultdict(dict))

    def notes(self) -> Iterator[str]:
        """What was judged and what was not, in words."""
        spans: dict[str, list[Place]] = defaultdict(list)
        for one in self.judged:
            spans[f"judged from {moment(one.from_ms)} to {moment(one.to_ms)}"].append(one.place)
        for reason, places in self.unjudged.items():
            for place, at_ms in places.items():
                spans[reason.format(moment(at_ms))].append(place)
        for told, listed in spans.items():
            yield f"{told}: {', '.join(f'{topic}/{number}' for topic, number in listed)}"


async def ledger(kafka: KafkaConfig, store: Store, question: Question) -> Report:
    """Reads and compares everything, one partition at a time.

    Raises:
        BrokerUnavailable: Kafka is away.
        StoreUnavailable: ClickHouse is.
    """
    async with Log(kafka, [*question.topics, ROLLUPS.name]) as log:
        return await Ledger(log, store, question).report()


class Ledger:
    """Compares stage by stage, one partition after the other."""

    def __init__(self, log: Logs, store: Store, question: Question) -> None:
        self._log = LedgerLog(log, question)
        self._question = question
        self._books = {topic: Books(store, topic, question.epochs[topic]) for topic in question.topics}
        self._report = Report()
        self._covered_ms = (question.from_ms, question.to_ms)

    async def report(self) -> Report:
        """Everything that was found. Call it once; raises as `ledger`."""
        await self._log.read_rollups()
        for place in self._log.inputs:
            await self._judge(place)
        if {topic.name for topic in INPUTS} <= set(self._question.topics):
            self._report.findings += self._gaps()
        return self._report

    async def _judge(self, place: Place) -> None:
        counted = await self._log.count(place)
        span = self._span(place, counted)
        if span is None:
            return
        at_ms = counted.clock_ms
        self._report.judged.append(Judged(place=place, span=span, from_ms=at_ms(span.first), to_ms=at_ms(span.end)))
        segments = [start for start, _ in counted.starts if span.first <= start < span.end]
        stored, folded = (
            together(parts.get(start, {}) for start in segments)
            for parts in (counted.recount.stored, counted.recount.folded)
        )
        raw = self._books[place[0]].raw(place[1], span, stored)
        stages = list(self._rollup_stages(place, span, folded))
        unequal = _unequal(stored, raw)
        wanted = unequal.union(*(_unequal(given, has) for _, given, has in stages))
        named = (await self._log.count(place, wanted)).recount if wanted else counted.recount
        self._report.findings += self._raw(place, span, unequal, named.stored_records)
        for stage, given, has in stages:
            records = {} if stage is Stage.SINK else _within(named.folded_records, span)
            self._report.findings += compare(stage, place, given, has, records=records)

    def _span(self, place: Place, counted: Counted) -> Span | None:
        """The segments of a partition that can be compared; notes why others cannot."""
        question, books = self._question, self._books[place[0]]
        noted = books.raw_span(place[1])
        limits = {
            "the rows on metrics.rollups": self._log.complete(place),
            "the rollup rows in ClickHouse": books.complete().get(place[1], 0),
            "the raw rows in ClickHouse": noted.end,
        }
        where = min(limits, key=limits.__getitem__)
        begins = max(counted.warm, sum(start < noted.first for start, _ in counted.starts))
        span = judged(counted.starts, from_ms=question.from_ms, to_ms=question.to_ms, limit=limits[where], warm=begins)
        all_there = not counted.starts or limits[where] > counted.starts[-1][0]
        self._note(place, counted, begins, span, _OPEN if all_there else _WAITING.format(where))
        return span

    def _note(self, place: Place, counted: Counted, begins: int, span: Span | None, waiting: str) -> None:
        unjudged, question, end_ms = self._report.unjudged, self._question, counted.end_ms
        if not counted.starts:
            return
        begins_ms = counted.known_ms(begins)
        if begins_ms > question.from_ms:
            reason = _NOTED if begins > counted.warm else _BEGINS if counted.warm == 0 else _RETENTION
            unjudged[reason][place] = begins_ms
        open_ms = counted.clock_ms(span.end) if span else max(begins_ms, question.from_ms)
        if end_ms == UNKNOWN or open_ms < min(question.to_ms, end_ms):
            unjudged[waiting][place] = open_ms
        known_ms = counted.known_ms(min(1, counted.warm))
        self._covered_ms = (max(self._covered_ms[0], known_ms), min(self._covered_ms[1], end_ms))

    def _rollup_stages(self, place: Place, span: Span, folded: Totals) -> Iterator[tuple[Stage, Totals, Totals]]:
        published, some = self._log.published.of(place, span)
        rolled, others = self._books[place[0]].rolled(place[1], span, [*folded, *published])
        minutes = some | others
        given, between, has = (kept_together(totals, minutes) for totals in (folded, published, rolled))
        if self._log.cut:
            yield Stage.BOTH, given, has
        else:
            yield Stage.FOLD, given, between
            yield Stage.SINK, between, has

    def _raw(self, place: Place, span: Span, cells: set[Cell], records: Details) -> Iterator[Finding]:
        """What differs between the log and the raw rows. A raw row stands where its record came last."""
        for cell in sorted(cells):
            here, everywhere = self._books[place[0]].raw_records(place[1], span, cell)
            given = _within(records, span).get(cell, {})
            found = of_records(
                place, cell, given=given, has=here, given_at_all=records.get(cell, {}), has_at_all=everywhere
            )
            if found is not None:
                yield found

    def _gaps(self) -> Iterator[Finding]:
        """Numbers that no record bears: one that came to any topic at another time is not lost."""
        from_ms, to_ms = self._covered_ms
        for gap in self._log.sequences.gaps(from_ms, to_ms):
            books = self._books[gap.place[0]]
            known = books.numbers(gap.boot, gap.first, gap.last, from_ms=from_ms)
            for part in gap.without(known):
                yield Finding(
                    stage=Stage.PRODUCER,
                    topic=part.place[0],
                    partition=part.place[1],
                    minute_ms=part.minute_ms,
                    source=part.source,
                    lost=part.missing,
                    double=0,
                    records=[Named(part.boot, part.first, 0, 0)],
                )


def _unequal(one: Totals, other: Totals) -> set[Cell]:
    return {cell for cell in one.keys() | other.keys() if one.get(cell) != other.get(cell)}


def _within(records: Details, span: Span) -> dict[Cell, Mapping[int, Named]]:
    """Those whose first place is in a span."""
    return {
        cell: {hashed: named for hashed, named in of_cell.items() if span.first <= named.offset < span.end}
        for cell, of_cell in records.items()
    }
