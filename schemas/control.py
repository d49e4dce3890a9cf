"""Topic `control`: what people decided, versioned, with who and when, and what was applied from when.

Compacted; the key is the record's id.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from schemas.matchers import Matcher
from schemas.records import Count, Millis, Wire
from schemas.rules import Rule

DAY_MS = 86_400_000
MAX_SILENCE_MS = 31 * DAY_MS
_PARTS = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTH", "BYMONTHDAY", "WKST"})
_NAMES = ", ".join(sorted(_PARTS - {"FREQ"}))
_RRULE = re.compile(r"[A-Za-z]+=[A-Za-z0-9,+-]+(;[A-Za-z]+=[A-Za-z0-9,+-]+)*")
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")

Comment = Annotated[str, StringConstraints(min_length=1, max_length=1024, strip_whitespace=True)]
By = Annotated[str, StringConstraints(min_length=1, max_length=256)]


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


class Silence(Wire):
    """Alerts that are not to be told for a while. A newer version of it may end it early."""

    v: Literal[1] = 1
    type: Literal["silence"] = "silence"
    id: Annotated[str, StringConstraints(pattern=r"^silence/[a-z0-9-]{1,64}$")]
    version: Count
    at_ms: Millis = Field(description="When this version was decided.")
    by: By = Field(description="Who decided it.")
    matchers: list[Matcher] = Field(min_length=1, max_length=32, description="All must hold.")
    starts_ms: Millis
    ends_ms: Millis = Field(description="From then on it no longer holds.")
    comment: Comment

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if not self.starts_ms <= self.ends_ms <= self.starts_ms + MAX_SILENCE_MS:
            raise ValueError("a silence ends after it starts, 31 days later at most: use maintenance for what recurs")
        return self


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone: write a name such as Europe/Berlin or UTC") from None
    return name


def _local(text: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is not None or not 2000 <= at.year <= 2100:
        raise ValueError(f"{text!r} is no local time of 2000 to 2100: write 2026-11-29T02:00")
    return text


class Maintenance(Wire):
    """Times at which alerts are not to be told, again and again, by the calendar of a time zone.

    A window begins at the local time that the rule says, and lasts for its duration of elapsed time. Where the clocks
    go forward over its begin, it begins as much later; where they go back over it, it begins at the first of the two.
    """

    v: Literal[1] = 1
    type: Literal["maintenance"] = "maintenance"
    id: Annotated[str, StringConstraints(pattern=r"^maintenance/[a-z0-9][a-z0-9_.-]{0,63}$")]
    version: Count
    at_ms: Millis = Field(description="When this version was decided.")
    by: By = Field(description="Who decided it.")
    matchers: list[Matcher] = Field(min_length=1, max_length=32, description="All must hold.")
    first: Annotated[str, StringConstraints(max_length=32), AfterValidator(_local)] = Field(
        description="Local time of the first window, such as 2026-11-29T02:00."
    )
    rrule: Annotated[str, StringConstraints(max_length=512)] = Field(
        description="Recurrence rule (RFC 5545, 3.3.10), such as FREQ=WEEKLY;BYDAY=SU. Empty: once."
    )
    zone: Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone)] = Field(description="IANA time zone.")
    duration_ms: Annotated[int, Field(ge=60_000, le=7 * DAY_MS)]
    comment: Comment
    enabled: bool = True

    @model_validator(mode="after")
    def _recurs(self) -> Self:
        if self.rrule:
            _check_rule(self.rrule)
        return self


def _check_rule(text: str) -> None:
    """Only rules of which a window is found soon: the notifier asks while alerts wait. Raises ValueError."""
    if _RRULE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no recurrence rule: write FREQ=WEEKLY;BYDAY=SU, one rule in one line")
    parts = dict(part.split("=") for part in text.upper().split(";"))
    if parts.get("FREQ") not in _FREQUENCIES or not parts.keys() <= _PARTS:
        raise ValueError(f"{text!r}: FREQ must be one of {', '.join(_FREQUENCIES)}, and other parts of {_NAMES}")
    interval = parts.get("INTERVAL", "1")
    chosen = parts.keys() - {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"}
    if not interval.isdigit() or not 1 <= int(interval) <= 1_000:
        raise ValueError(f"{text!r}: INTERVAL is 1 to 1000")
    _check_numbers(text, parts)
    if int(interval) > 1 and chosen - ({"BYDAY"} if parts["FREQ"] == "WEEKLY" else set()):
        raise ValueError(f"{text!r}: an INTERVAL above 1 goes with FREQ=WEEKLY and BYDAY, or alone: it may never occur")
    most = 28 if "BYMONTH" in parts or "BYDAY" in parts else 31
    if any(abs(int(day)) > most for day in re.findall(r"\d+", parts.get("BYMONTHDAY", ""))):
        raise ValueError(f"{text!r}: BYMONTHDAY is at most {most} here: else it may never occur")
    if any(int(week) > 5 for week in re.findall(r"\d+", parts.get("BYDAY", ""))):
        raise ValueError(f"{text!r}: BYDAY counts weeks up to 5")
    if "BYMONTHDAY" in parts and re.search(r"\d", parts.get("BYDAY", "")):
        raise ValueError(f"{text!r}: BYDAY counts no weeks beside BYMONTHDAY: else it may never occur")
    try:
        rrulestr(text, dtstart=datetime(2026, 1, 1))  # noqa: DTZ001  (local time)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{text!r} is no recurrence rule (RFC 5545): {error}") from None


def _check_numbers(text: str, parts: Mapping[str, str]) -> None:
    """A month that there is not would be looked for until the end of the calendar. Raises ValueError."""
    if not all(month.isdigit() and 1 <= int(month) <= 12 for month in parts.get("BYMONTH", "1").split(",")):
        raise ValueError(f"{text!r}: BYMONTH is 1 to 12")
    if any(int(day) == 0 for day in re.findall(r"\d+", parts.get("BYMONTHDAY", ""))):
        raise ValueError(f"{text!r}: BYMONTHDAY is no 0: it would never occur")
    if not parts.get("COUNT", "1").isdigit() or int(parts.get("COUNT", "1")) == 0:
        raise ValueError(f"{text!r}: COUNT is 1 or more")
    if parts.get("UNTIL", "").endswith("Z"):
        raise ValueError(f"{text!r}: UNTIL is a local time of the zone here: write it without Z")


class Acknowledgement(Wire):
    """Somebody takes care of one episode of an alert: nobody is reminded of it. The newest version holds."""

    v: Literal[1] = 1
    type: Literal["acknowledgement"] = "acknowledgement"
    id: Annotated[str, StringConstraints(pattern=r"^acknowledgement/[0-9a-f]{16}$")] = Field(
        description="`acknowledgement/<fingerprint of the alert>`."
    )
    version: Count
    at_ms: Millis = Field(description="When it was acknowledged.")
    by: By = Field(description="Who acknowledged it.")
    episode_ms: Millis = Field(description="Of the episode that is meant.")
    assigned_to: Annotated[str, StringConstraints(max_length=256)] = Field(
        default="", description="Who takes care of it; empty: who acknowledged it."
    )
    comment: Annotated[str, StringConstraints(max_length=1024)] = ""

    @property
    def alert(self) -> str:
        """Fingerprint of the alert."""
        return self.id.partition("/")[2]


ControlRecord = RuleControl | RuleApplied | Silence | Maintenance | Acknowledgement
