"""Topic `control`: what people decided, versioned, with who and when. Compacted; the key is the record's id."""

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


ControlRecord = RuleControl
