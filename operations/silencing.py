"""Silences and maintenance: made, ended and shown as records of topic `control`."""

import secrets
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from connect.config import KafkaConfig
from operations import control
from schemas.control import ControlRecord, Maintenance, Silence
from schemas.errors import BadSettings, faults
from schemas.matchers import Matcher, parse_matcher

_CONTROL: TypeAdapter[ControlRecord] = TypeAdapter(ControlRecord)
Hidden = Silence | Maintenance
_Made = TypeVar("_Made", Silence, Maintenance)


def matchers_of(texts: Sequence[str], *, everything: bool) -> list[Matcher]:
    """What people wrote, as matchers.

    Raises:
        BadSettings: One cannot be read; together they mean every alert, and that is not wanted.
    """
    try:
        found = [parse_matcher(text) for text in texts]
    except ValueError as error:
        raise BadSettings(str(error)) from None
    if all(one.matches({}) for one in found) and not everything:
        raise BadSettings("this would hide every alert: name a label that must have a value, or add --everything")
    return found or [parse_matcher('alertname=~".*"')]


def silence(matchers: Sequence[Matcher], *, from_ms: int, lasts_ms: int, comment: str, by: str, at_ms: int) -> Silence:
    """A new one. Raises BadSettings."""
    if lasts_ms <= 0:
        raise BadSettings("a silence ends after it starts")
    return _made(
        Silence,
        {"id": f"silence/{secrets.token_hex(4)}", "version": 1, "at_ms": at_ms, "by": by, "matchers": list(matchers)},
        {"starts_ms": from_ms, "ends_ms": from_ms + lasts_ms, "comment": comment},
    )


def maintenance(name: str, matchers: Sequence[Matcher], before: Hidden | None, **fields: object) -> Maintenance:
    """A new one, or a new version of the one before. Raises BadSettings."""
    version = before.version + 1 if before is not None else 1
    about = {"id": f"maintenance/{name}", "version": version, "matchers": list(matchers)}
    return _made(Maintenance, about, fields)


def _made(model: type[_Made], about: Mapping[str, object], fields: Mapping[str, object]) -> _Made:
    try:
        return model.model_validate({**about, **fields})
    except ValidationError as error:
        raise BadSettings(faults(error)) from None


def ended(record: Hidden, *, by: str, at_ms: int) -> Hidden:
    """The version of it that no longer holds."""
    news: dict[str, object] = {"version": record.version + 1, "by": by, "at_ms": at_ms}
    if isinstance(record, Maintenance):
        return record.model_copy(update={**news, "enabled": False})
    # One that has not begun ends where it would have.
    ends_ms = max(record.starts_ms, min(record.ends_ms, at_ms))
    return record.model_copy(update={**news, "ends_ms": ends_ms})


async def read(config: KafkaConfig) -> dict[str, Hidden]:
    """The newest version of each, those that no longer hold too."""
    known: dict[str, Hidden] = {}
    async for value in control.values(config):
        try:
            record = _CONTROL.validate_json(value or b"")
        except ValidationError:
            continue
        if isinstance(record, Hidden) and (record.id not in known or known[record.id].version <= record.version):
            known[record.id] = record
    return known


def named(known: Mapping[str, Hidden], kind: str, name: str) -> Hidden:
    """One of them, by its name or the begin of it.

    Raises:
        BadSettings: There is none, or there are several.
    """
    ids = [id_ for id_ in known if id_ == f"{kind}/{name}"] or [
        id_ for id_ in known if id_.startswith(f"{kind}/{name}")
    ]
    if len(ids) != 1:
        there = ", ".join(sorted(id_.partition("/")[2] for id_ in known if id_.startswith(f"{kind}/")))
        raise BadSettings(f"there {'is no' if not ids else 'are several'} {kind} {name}; there are: {there or 'none'}")
    return known[ids[0]]
