"""Keys of the API."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from api import changed
from api.changed import message
from api.guard import Admin, Known
from api.services import Services
from operations import access
from operations.access import LASTS_MS, Asker
from schemas.access import ApiKey, Scopes, Title
from schemas.topics import ACCESS

router = APIRouter(prefix="/keys", tags=["keys"])

KeyId = Annotated[str, Path(pattern=r"^[0-9a-f]{12}$")]


class KeyOut(BaseModel):
    """A key, without its secret."""

    id: str
    name: str
    scopes: Scopes
    expires_ms: int
    revoked: bool
    by: str
    at_ms: int


class NewKeyOut(KeyOut):
    """A key that was just made."""

    key: str = Field(description="What its owner keeps: it is not to be had again.")


class KeysOut(BaseModel):
    """Keys by name."""

    keys: list[KeyOut]


def _fields(key: ApiKey) -> dict[str, object]:
    return {**key.model_dump(include={"name", "scopes", "expires_ms", "revoked", "by", "at_ms"}), "id": key.id[4:]}


@router.get("", operation_id="listKeys", summary="Keys")
async def list_keys(services: Known, _: Admin) -> KeysOut:
    """All keys, those that are refused too."""
    known = sorted(services.access.keys.values(), key=lambda one: (one.name, one.at_ms))
    return KeysOut(keys=[KeyOut.model_validate(_fields(one)) for one in known])


class NewKey(BaseModel):
    """What a key is for."""

    name: Title
    scopes: Scopes
    lasts_ms: int = Field(default=LASTS_MS, ge=60_000, le=10 * LASTS_MS)


@router.post("", operation_id="createKey", summary="Make a key", status_code=201)
async def create_key(asked: NewKey, services: Known, who: Admin, address: changed.Address) -> NewKeyOut:
    """The answer holds the key; it is not to be had again."""
    at_ms = services.now_ms()
    key, secret = access.new_key(asked.name, asked.scopes, by=who.by, at_ms=at_ms, expires_ms=at_ms + asked.lasts_ms)
    await _publish(services, who, address, "key.create", key)
    return NewKeyOut.model_validate({**_fields(key), "key": secret.get_secret_value()})


class Rotation(BaseModel):
    """How a key is replaced."""

    overlap_ms: int = Field(default=86_400_000, ge=0, le=LASTS_MS, description="How long the old one is still taken.")
    lasts_ms: int = Field(default=LASTS_MS, ge=60_000, le=10 * LASTS_MS)


@router.post("/{key}/rotate", operation_id="rotateKey", summary="Replace a key", status_code=201)
async def rotate_key(key: KeyId, asked: Rotation, services: Known, who: Admin, address: changed.Address) -> NewKeyOut:
    """A new key with the same scopes; the old one ends after the overlap."""
    known = services.access.key(key)
    (old, new), secret = access.rotated(
        known, by=who.by, at_ms=services.now_ms(), overlap_ms=asked.overlap_ms, lasts_ms=asked.lasts_ms
    )
    await _publish(services, who, address, "key.rotate", old, new)
    return NewKeyOut.model_validate({**_fields(new), "key": secret.get_secret_value()})


@router.delete("/{key}", operation_id="revokeKey", summary="Refuse a key from now on")
async def revoke_key(key: KeyId, services: Known, who: Admin, address: changed.Address) -> KeyOut:
    """It is not taken any more."""
    gone = access.revoked(services.access.key(key), by=who.by, at_ms=services.now_ms())
    await _publish(services, who, address, "key.revoke", gone)
    return KeyOut.model_validate(_fields(gone))


async def _publish(services: Services, who: Asker, address: str, action: str, *keys: ApiKey) -> None:
    def seen() -> bool:
        known = services.access.keys
        return all(one.id in known and known[one.id].version >= one.version for one in keys)

    told = [changed.record(services, who, address, action, one.id, one.version, one.name) for one in keys]
    await services.publish([*(message(ACCESS, one.id, one) for one in keys), *told], seen)
