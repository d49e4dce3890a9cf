"""Series of metrics: what charts show, exports hold and people compare."""

from collections.abc import Sequence

from analysis import statements
from analysis.questions import Aggregate, Answer, Question, Range, Series
from analysis.tiers import tiers_for
from connect.clickhouse import Store
from schemas.catalogue import BY_NAME

SKETCH_ERROR = 0.01
"""Relative error of quantiles (DDSketch)."""


def answer(store: Store, question: Question, span: Range) -> Answer:
    """One question, answered from the coarsest windows that its step is made of.

    Raises:
        StoreUnavailable: The same question may be answered later.
        StoreRefused: It will not.
    """
    tier = next(tiers_for(span.step))
    starts_ms = span.starts_ms
    asked = statements.for_store(question, tier, starts_ms)
    rows = store.rows(asked.sql, asked.values)
    found = int(rows[0][3]) if rows else 0
    return Answer(
        question=question,
        tier=tier.name,
        error=SKETCH_ERROR if question.aggregate.quantile is not None else 0.0,
        series=[
            Series(labels=dict(zip(question.group_by, labels, strict=True)), values=_placed(starts_ms, times, values))
            for labels, times, values, _ in rows
        ],
        left_out=found - len(rows),
        query=statements.for_people(question, tier, starts_ms),
    )


def unit(question: Question) -> str:
    """Unit of the values of an answer, as UCUM writes it; empty where the catalogue does not know the metric."""
    about = BY_NAME.get(question.metric)
    match question.aggregate:
        case Aggregate.COUNT:
            return "1"
        case _ if about is None:
            return ""
        case Aggregate.RATE:
            return f"{about.unit}/s"
        case _:
            return about.unit


def _placed(starts_ms: range, times: Sequence[int], values: Sequence[float]) -> list[float | None]:
    placed: list[float | None] = [None] * len(starts_ms)
    for at_ms, value in zip(times, values, strict=True):
        placed[(at_ms - starts_ms.start) // starts_ms.step] = value
    return placed
