"""Topic `control`: what people decided, versioned, with who and when, and what was applied from when.

Compacted; the key is the record's id.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.records import Count, Millis, Wire
from schemas.rules import Rule


class RuleControl(Wire):
    """One version of one rule. A record without a rule removes it."""

    v: Literal[1] = 1
    type: Literal["rule"] = "rule"
    id: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(description="`rule/<id of the rule>`.")
    version: Count = Field(description="Counts up by one with each change of this id.")
    at_ms: Millis = Field(description="When it was decided, by the clock of who decided it.")
    by: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(description="Who decided it.")
    rule: Rule | None = None


class RuleApplied(Wire):
    """From when a version of a rule was evaluated, written by the evaluator before its first decision with it.

    A version is in force from the least of these times until the next version is. So a replay of the past applies it
    at the same point of the grid.
    """

    v: Literal[1] = 1
    type: Literal["applied"] = "applied"
    id: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(description="`applied/<id of rule>`.")
    version: Count = Field(description="Of the rule's control record; of a removal too.")
    from_ms: Millis = Field(description="The first evaluation time that it was applied at, on the grid.")


ControlRecord = RuleControl | RuleApplied
