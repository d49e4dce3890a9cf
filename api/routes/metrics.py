"""Metrics: which there are, and how they went."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, ValidationError

from analysis import known, series, statements
from analysis.questions import MAX_QUESTIONS, Aggregate, Question, Range
from analysis.tiers import DAY_MS, HOUR_MS, tiers_for
from api.guard import Known, Reader
from api.problems import Fault, Problem
from schemas.dimensions import Name
from schemas.errors import StoreRefused

router = APIRouter(prefix="/metrics", tags=["metrics"])

ARROW = "application/vnd.apache.arrow.stream"
AT_ONCE = 8
"""Questions of one request that ClickHouse is asked side by side."""


class Questions(Range):
    """Questions over one stretch of time: a dashboard is one request."""

    questions: list[Question] = Field(min_length=1, max_length=MAX_QUESTIONS)


class SeriesOut(BaseModel):
    """One line of a chart."""

    labels: dict[str, str] = Field(description="The labels that were grouped by.")
    values: list[float | None] = Field(description="One for each of `times_ms`; null where nothing was recorded.")


class AnswerOut(BaseModel):
    """What became of one question. Where it failed, `error` says why, and the others are answered all the same."""

    id: str
    metric: str
    aggregate: Aggregate
    unit: str = Field(default="", description="Unit of the values as UCUM writes it; empty: not known.")
    tier: str = Field(default="", description="Windows that it was made of: `10s`, `1m`, `1h` or `1d`.")
    error_bound: float = Field(default=0, description="Greatest relative error of the values: 0.01 of quantiles.")
    series: list[SeriesOut] = Field(default_factory=list)
    series_left_out: int = Field(default=0, description="Series beyond `limit`.")
    query: str = Field(default="", description="SQL on the public views that gives the same; not of quantiles.")
    error: str = ""


class Answers(BaseModel):
    """The answers, in the order of the questions."""

    step_ms: int
    times_ms: list[int] = Field(description="Starts of the steps.")
    complete_to_ms: int | None = Field(
        description="Steps that end later are not complete yet; null: not known, since the processor is silent."
    )
    answers: list[AnswerOut]


_ANSWER_EXAMPLE = {
    "step_ms": 10_000,
    "times_ms": [1_790_000_000_000, 1_790_000_010_000],
    "complete_to_ms": 1_790_000_010_000,
    "answers": [
        {
            **{"id": "a", "metric": "system.cpu.utilization", "aggregate": "avg", "unit": "1", "tier": "10s"},
            "series": [{"labels": {"source": "web-1"}, "values": [0.31, 0.42]}],
        }
    ],
}


@router.post(
    "/query",
    operation_id="queryMetrics",
    summary="Many questions at once",
    responses={200: {"content": {"application/json": {"example": _ANSWER_EXAMPLE}}}},
)
async def query_metrics(asked: Questions, services: Known, _: Reader) -> Answers:
    """Answers up to 50 questions over one stretch of time.

    Without `step_ms` the step is the least that gives at most `points` points, and each question is answered from the
    coarsest windows that the step is made of.
    """
    if len({one.id for one in asked.questions}) < len(asked.questions):
        fault = Fault(where="body.questions", what="ids of questions must differ")
        raise Problem(422, fault.what, faults=[fault])
    limit = asyncio.Semaphore(AT_ONCE)

    async def answered(question: Question) -> AnswerOut:
        about = {"id": question.id, "metric": question.metric, "aggregate": question.aggregate}
        try:
            async with limit:
                answer = await asyncio.to_thread(series.answer, services.store, question, asked)
        except StoreRefused as error:
            return AnswerOut.model_validate({**about, "error": str(error)[:500]})
        return AnswerOut.model_validate({**about, **answer.as_json(), "unit": series.unit(question)})

    answers = await asyncio.gather(*map(answered, asked.questions))
    return Answers(
        step_ms=asked.step,
        times_ms=list(asked.starts_ms),
        complete_to_ms=services.live.complete_to_ms(),
        answers=list(answers),
    )


class One(BaseModel):
    """One question in the query string."""

    metric: Name = Field(examples=["system.cpu.utilization"])
    aggregate: Aggregate = Aggregate.AVG
    where: list[str] = Field(default_factory=list, max_length=32, examples=[['source=~"web-.*"']])
    group_by: list[Name] = Field(default_factory=list, max_length=8, examples=[["source"]])
    from_ms: int | None = Field(default=None, ge=0, description="Left out: an hour before the end.")
    to_ms: int | None = Field(default=None, ge=0, description="Left out: now.")
    step_ms: int | None = Field(default=None, ge=10_000)
    points: int = Field(default=400, ge=1, le=1_500)
    limit: int = Field(default=20, ge=1, le=500)


def _asked(one: One, now_ms: int) -> Questions:
    to_ms = one.to_ms if one.to_ms is not None else now_ms
    from_ms = one.from_ms if one.from_ms is not None else max(0, to_ms - HOUR_MS)
    question = one.model_dump(include={"metric", "aggregate", "where", "group_by", "limit"})
    span = {"from_ms": from_ms, "to_ms": to_ms, "step_ms": one.step_ms, "points": one.points}
    try:
        return Questions.model_validate({**span, "questions": [question]})
    except ValidationError as error:
        faults = [
            Fault(where=f"query.{'.'.join(map(str, found['loc']))}", what=found["msg"].removeprefix("Value error, "))
            for found in error.errors()
        ]
        raise Problem(422, f"{faults[0].where}: {faults[0].what}", faults=faults) from None


@router.get(
    "",
    operation_id="getMetrics",
    summary="One metric over time",
    responses={200: {"content": {"application/json": {"example": _ANSWER_EXAMPLE}, ARROW: {}}}},
    response_model=Answers,
)
async def get_metrics(request: Request, one: Annotated[One, Query()], services: Known, asker: Reader) -> Any:
    """The same as `queryMetrics` for one question; with `Accept: application/vnd.apache.arrow.stream` as Arrow.

    The Arrow table has columns `labels` (in the order of `group_by`), `t` (epoch milliseconds) and `v`.
    """
    asked = _asked(one, services.now_ms())
    if ARROW in request.headers.get("accept", ""):
        (question,) = asked.questions
        statement = statements.as_rows(question, next(tiers_for(asked.step)), asked.starts_ms)
        blocks = services.store.raw(statement.sql, "ArrowStream", statement.values)
        first = await asyncio.to_thread(next, blocks, b"")
        return StreamingResponse(_with_first(first, blocks), media_type=ARROW)
    return await query_metrics(asked, services, asker)


def _with_first(first: bytes, rest: Any) -> Any:
    yield first
    yield from rest


class MetricOut(BaseModel):
    """A metric that was recorded."""

    name: str
    kind: str = Field(description="`gauge`, `delta`, `cumulative` or `sketch`.")
    unit: str = Field(description="As UCUM writes it; empty where the catalogue does not know the metric.")
    description: str
    series: int
    sources: int
    dimensions: list[str]
    newest_ms: int


class MetricsOut(BaseModel):
    """Metrics by name."""

    metrics: list[MetricOut]


class Lately(BaseModel):
    """A stretch of time that ends now, unless it is said."""

    from_ms: int | None = Field(default=None, ge=0, description="Left out: a day before the end.")
    to_ms: int | None = Field(default=None, ge=0, description="Left out: now.")

    def span(self, now_ms: int) -> tuple[int, int]:
        """Begin and end."""
        to_ms = min(self.to_ms, now_ms) if self.to_ms is not None else now_ms
        return (self.from_ms if self.from_ms is not None else max(0, to_ms - DAY_MS)), to_ms


@router.get("/names", operation_id="listMetrics", summary="Metrics that were recorded")
async def list_metrics(span: Annotated[Lately, Query()], services: Known, _: Reader) -> MetricsOut:
    """Every metric of a stretch of time with its kind, unit, dimensions and number of series."""
    found = await asyncio.to_thread(known.metrics, services.store, *span.span(services.now_ms()))
    return MetricsOut(metrics=[MetricOut(**asdict(one)) for one in found])


class DimensionsOut(BaseModel):
    """Values of dimensions, those that most series have first."""

    dimensions: dict[str, list[str]]


@router.get("/names/{metric}/dimensions", operation_id="listDimensions", summary="Dimensions of a metric")
async def list_dimensions(
    metric: Annotated[Name, Path()], span: Annotated[Lately, Query()], services: Known, _: Reader, response: Response
) -> DimensionsOut:
    """Of each dimension of a metric, and of `source`, up to 200 values."""
    response.headers["Cache-Control"] = "private, max-age=30"
    found = await asyncio.to_thread(known.dimension_values, services.store, metric, *span.span(services.now_ms()))
    return DimensionsOut(dimensions=dict(found))
