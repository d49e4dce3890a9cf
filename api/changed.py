"""What was changed by whom: a record of topic `changes` beside each decision that is published."""

import uuid
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from api.problems import Fault, Problem
from api.services import Services
from connect.outbox import Message
from operations.access import Asker
from schemas.access import ApiChange
from schemas.topics import CHANGES, Topic

_Model = TypeVar("_Model", bound=BaseModel)


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


Address = Annotated[str, Depends(_address)]


def record(
    services: Services, who: Asker, address: str, action: str, changed: str, version: int, detail: str = ""
) -> Message:
    """The record of a change."""
    told = ApiChange(
        id=str(uuid.uuid4()), at_ms=services.now_ms(), by=who.by, name=who.name, address=address, action=action,
        object=changed, version=version, detail=detail[:1024],
    )  # fmt: skip
    return message(CHANGES, changed, told)


def message(topic: Topic, key: str, value: BaseModel) -> Message:
    """A record as it is sent."""
    return Message(topic.name, key.encode(), value.model_dump_json().encode())


def validated(model: type[_Model], **fields: object) -> _Model:
    """A record of what somebody sent.

    Raises:
        Problem: With every fault.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        faults = [
            Fault(where=f"body.{'.'.join(map(str, one['loc']))}", what=one["msg"].removeprefix("Value error, "))
            for one in error.errors()
        ]
        raise Problem(422, f"{faults[0].where}: {faults[0].what}", faults=faults) from None
