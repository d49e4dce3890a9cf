"""Matchers, as Alertmanager writes them: which alerts a silence, a route or an inhibition is about."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

import re2
from pydantic import ConfigDict, Field, StringConstraints, ValidationError, model_validator

from schemas.alerts import Transition
from schemas.dimensions import Name
from schemas.errors import faults
from schemas.records import Wire

Operator = Literal["=", "!=", "=~", "!~"]

EXTERNAL = "external."
"""Begin of the ids of rules whose alerts other systems raise."""

_MAX_BYTES = 1 << 20
"""Of one pattern, once it is compiled."""

_MATCHER = re.compile(
    r'\s*(?P<name>[^\s=!~"{},]{1,128})\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>"(?:[^"\\]|\\.)*"|[^\s",]*)\s*'
)


class Matcher(Wire):
    """One condition on a label. A label that is missing counts as empty."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(description="Of the label: a dimension of the alert, `alertname`, `severity` or `metric`.")
    operator: Operator = Field(description="Equal, not equal; matches a pattern as a whole (RE2), does not.")
    value: Annotated[str, StringConstraints(max_length=1024)]

    @model_validator(mode="after")
    def _has_a_pattern(self) -> Self:
        if self.operator in {"=~", "!~"}:
            _pattern(self.value)
        return self

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is meant."""
        value = labels.get(self.name, "")
        if self.operator in {"=", "!="}:
            return (value == self.value) is (self.operator == "=")
        return (_pattern(self.value).fullmatch(value) is not None) is (self.operator == "=~")

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{escaped}"'


Matchers = Annotated[list[Matcher], Field(max_length=32)]


def labels_of(transition: Transition) -> dict[str, str]:
    """What matchers look at: the alert's dimensions, and what every alert has.

    Of alerts that other systems raise: the labels that those gave them, `alertname` and `severity` included.
    """
    own = {"alertname": transition.rule, "metric": transition.metric, "severity": str(transition.severity)}
    if transition.rule.startswith(EXTERNAL):
        return own | transition.entity
    return transition.entity | own


def matches(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether all of them hold."""
    return all(matcher.matches(labels) for matcher in matchers)


def parse_matcher(text: str) -> Matcher:
    """`name="value"`, `name!=value`, `name=~"pattern"`. Raises ValueError."""
    match = _MATCHER.fullmatch(text)
    if match is None:
        raise ValueError(f'{text!r} is no matcher: write alertname="cpu-busy", source=~"web-.*" or severity!=warning')
    value = match["value"]
    if value[:1] == '"':
        # A backslash before any other character stands for itself: patterns are full of them.
        value = re.sub(r'\\([\\"n])', lambda escape: "\n" if escape[1] == "n" else escape[1], value[1:-1])
    try:
        return Matcher.model_validate({"name": match["name"], "operator": match["operator"], "value": value})
    except ValidationError as error:
        raise ValueError(faults(error)) from None


class Patterns:
    """Many patterns that are looked for together: a value is read once, not once for each.

    Args:
        texts: Of matchers, so that each of them is a pattern.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._sets = list(_sets(texts)) if texts else []

    def of(self, value: str) -> list[str]:
        """Those that a value matches as a whole."""
        return [texts[place] for texts, together in self._sets for place in together.Match(value) or ()]


def _sets(texts: Sequence[str]) -> Iterator[tuple[Sequence[str], Any]]:
    """All of them in one, or in halves of what does not fit into memory. One alone fits: it did in an eighth of it."""
    together = re2.Set.FullMatchSet(_options(8 * _MAX_BYTES))
    for text in texts:
        together.Add(text)
    try:
        together.Compile()
    except re2.error:
        middle = len(texts) // 2
        yield from _sets(texts[:middle])
        yield from _sets(texts[middle:])
    else:
        yield texts, together


@lru_cache(maxsize=4096)
def _pattern(text: str) -> Any:
    """In linear time of the value, whatever the pattern is. Raises ValueError."""
    try:
        return re2.compile(text, _options(_MAX_BYTES))
    except re2.error as error:
        raise ValueError(f"{text!r} is no pattern (RE2): {error}") from None


def _options(max_bytes: int) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = max_bytes
    return options
