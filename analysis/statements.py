"""The SQL of a question. Whatever a person wrote is bound by the server; nothing of it becomes part of the text."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.questions import Aggregate, Question
from analysis.tiers import Tier
from schemas.matchers import Matcher

Value = str | int | float

_OPERATORS = {
    "=": "{label} = {value}",
    "!=": "{label} != {value}",
    "=~": "match({label}, concat('^(?:', {value}, ')$'))",
    "!~": "NOT match({label}, concat('^(?:', {value}, ')$'))",
}

_PLAIN = {
    Aggregate.AVG: "sum(r.sum) / sum(r.n)",
    Aggregate.MIN: "min(r.min)",
    Aggregate.MAX: "max(r.max)",
    Aggregate.COUNT: "toFloat64(sum(r.n))",
    Aggregate.LAST: "argMax(r.last, r.last_at)",
}

_QUANTILE = """
    SELECT labels, t, estimates[arrayFirstIndex(c -> c > floor({quantile} * (counted[-1] - 1)), counted)] AS v
    FROM
    (
        SELECT {labels} AS labels, {t} AS t, sum(r.zero) AS zero,
            sumMap(r.positive) AS positive, sumMap(r.negative) AS negative,
            arrayConcat(
                arrayMap(i -> -2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), arrayReverse(mapKeys(negative))),
                [0.],
                arrayMap(i -> 2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), mapKeys(positive))
            ) AS estimates,
            arrayCumSum(arrayConcat(arrayReverse(mapValues(negative)), [zero], mapValues(positive))) AS counted
        FROM {table} WHERE {where}
        GROUP BY labels, t
        HAVING counted[-1] > 0
    )"""

_SUM = """
    SELECT labels, t, sum(of_series) AS v
    FROM
    (
        SELECT {labels} AS labels, {t} AS t, r.series,
            if(any(r.kind) = 'delta', sum(r.sum), sum(r.sum) / sum(r.n)) AS of_series
        FROM {table} WHERE {where}
        GROUP BY labels, t, r.series
    )
    GROUP BY labels, t"""

# A counter also grows between the last value of one window and the first of the next; after a restart from zero.
_INCREASE = """
    SELECT labels, t, sum(grown) AS v
    FROM
    (
        SELECT {labels} AS labels, {t} AS t, r.window_start AS started,
            lagInFrame(toNullable(r.last)) OVER (PARTITION BY r.series ORDER BY r.window_start) AS before,
            multiIf(
                r.kind = 'delta', r.sum,
                r.kind != 'cumulative', NULL,
                r.increase + multiIf(isNull(before), 0, r.first >= before, r.first - before, r.first)
            ) AS grown
        FROM {table} WHERE {where_before}
    )
    WHERE started >= fromUnixTimestamp64Milli({{from_ms:Int64}}, 'UTC')
    GROUP BY labels, t
    HAVING v IS NOT NULL"""

_OF_TIER = "r.rollup = {rollup:String} AND "

_GATHERED = """
SELECT labels, groupArray(t), groupArray(v), count() OVER () AS found
FROM
({inner}
)
GROUP BY labels
ORDER BY avg(v) DESC, labels
LIMIT {{limit:UInt32}}"""


@dataclass(slots=True)
class Statement:
    """SQL with placeholders, and what they stand for."""

    sql: str
    values: dict[str, Value] = field(default_factory=dict)

    def written_out(self) -> str:
        """For people to read and to run again: with the values in it."""
        text = self.sql
        for name, value in self.values.items():
            kind = "String" if isinstance(value, str) else "Float64" if isinstance(value, float) else "Int64"
            for placeholder in (f"{{{name}:{kind}}}", f"{{{name}:UInt32}}"):
                text = text.replace(placeholder, _literal(value))
        return text.strip()


def _literal(value: Value) -> str:
    if not isinstance(value, str):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def for_store(question: Question, tier: Tier, starts_ms: range) -> Statement:
    """What is asked. Rows: labels in their order, starts of steps, values, how many series there are."""
    return _Builder(question, tier, starts_ms).gathered(_table(question, tier), _OF_TIER)


def as_rows(question: Question, tier: Tier, starts_ms: range) -> Statement:
    """The same without a limit, one row for each value: labels, start of the step, value."""
    return _Builder(question, tier, starts_ms).rows(_table(question, tier), _OF_TIER)


def _table(question: Question, tier: Tier) -> str:
    return tier.combined if question.aggregate in {Aggregate.RATE, Aggregate.INCREASE} else tier.rows


def for_people(question: Question, tier: Tier, starts_ms: range) -> str:
    """The same on the public views; empty of quantiles, which those do not hold in a form that can be merged."""
    if question.aggregate.quantile is not None:
        return ""
    return _Builder(question, tier, starts_ms).rows(f"watchkeeper.metrics_{tier.name} AS r").written_out()


class _Builder:
    def __init__(self, question: Question, tier: Tier, starts_ms: range) -> None:
        self._question = question
        self._values: dict[str, Value] = {
            "metric": question.metric,
            "rollup": tier.rollup,
            "from_ms": starts_ms.start,
            "to_ms": starts_ms.stop,
            "step_ms": starts_ms.step,
            "window_ms": tier.window_ms,
            "limit": question.limit,
        }
        self._labels = [self._label(name) for name in question.group_by]
        self._where = [self._condition(number, one) for number, one in enumerate(question.where)]

    def gathered(self, table: str, prefix: str) -> Statement:
        return Statement(_GATHERED.format(inner=self._inner(table, prefix)), self._values)

    def rows(self, table: str, prefix: str = "") -> Statement:
        return Statement(f"{self._inner(table, prefix).strip()}\nORDER BY labels, t", self._values)

    def _inner(self, table: str, prefix: str) -> str:
        aggregate = self._question.aggregate
        words = self._words(table, prefix)
        if aggregate is Aggregate.SUM:
            return _SUM.format(**words)
        if aggregate in {Aggregate.RATE, Aggregate.INCREASE}:
            sql = _INCREASE.format(**words)
            seconds = "sum(grown) / ({step_ms:Int64} / 1000)"
            return sql.replace("sum(grown)", seconds, 1) if aggregate is Aggregate.RATE else sql
        if aggregate.quantile is not None:
            self._values["quantile"] = aggregate.quantile
            return _QUANTILE.format(quantile="{quantile:Float64}", **words)
        labels, t, where = words["labels"], words["t"], words["where"]
        return f"""
    SELECT {labels} AS labels, {t} AS t, {_PLAIN[aggregate]} AS v
    FROM {table} WHERE {where}
    GROUP BY labels, t"""  # noqa: S608  (put together from constants)

    def _words(self, table: str, prefix: str) -> Mapping[str, str]:
        conditions = " AND ".join((f"{prefix}r.metric = {{metric:String}}", *self._where))
        begin, end = "{from_ms:Int64}", "r.window_start < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')"
        since, before = (
            f"r.window_start >= fromUnixTimestamp64Milli({begin}{less}, 'UTC')" for less in ("", " - {window_ms:Int64}")
        )
        return {
            "labels": f"[{', '.join(self._labels)}]" if self._labels else "emptyArrayString()",
            "t": "intDiv(toUnixTimestamp64Milli(r.window_start), {step_ms:Int64}) * {step_ms:Int64}",
            "table": table,
            "where": f"{conditions} AND {since} AND {end}",
            "where_before": f"{conditions} AND {before} AND {end}",
        }

    def _label(self, name: str) -> str:
        if name == "source":
            return "toString(r.source)"
        place = f"dimension_{sum(key.startswith('dimension_') for key in self._values)}"
        self._values[place] = name
        return f"r.dimensions[{{{place}:String}}]"

    def _condition(self, number: int, matcher: Matcher) -> str:
        self._values[f"value_{number}"] = matcher.value
        return _OPERATORS[matcher.operator].format(label=self._label(matcher.name), value=f"{{value_{number}:String}}")
