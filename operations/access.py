"""Keys and accounts of the API: made, checked, renewed, withdrawn."""

import base64
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar

from pydantic import SecretStr, TypeAdapter, ValidationError

from connect.config import KafkaConfig
from connect.kafka import connected
from connect.outbox import Message, Outbox
from operations import control
from schemas.access import AccessRecord, Account, ApiKey, Scope
from schemas.errors import BadSettings
from schemas.topics import ACCESS

PREFIX = "wk"
LASTS_MS = 365 * 86_400_000
"""How long a key is taken, unless it is said."""

LEAST_PASSWORD = 12
_RECORD: TypeAdapter[ApiKey | Account] = TypeAdapter(AccessRecord)
_Record = TypeVar("_Record", ApiKey, Account)

# RFC 7914: about 32 MB and a tenth of a second for each try.
_N, _R, _P = 2**15, 8, 1
_SCRYPT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks.

    Attributes:
        by: As it is noted with what is decided: UUID of an account, or `key/<id>`.
    """

    by: str
    name: str
    scopes: frozenset[Scope]


class Refused(Exception):  # noqa: N818  (reads as what it is)
    """A key or a password is not taken; the message says why, as far as that helps nobody else."""


def new_key(name: str, scopes: Sequence[str], *, by: str, at_ms: int, expires_ms: int) -> tuple[ApiKey, SecretStr]:
    """A key, and what its owner must keep: it is not to be had again.

    Raises:
        BadSettings: The name or the scopes cannot be used.
    """
    id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    record = _made(
        ApiKey, id=f"key/{id_}", version=1, at_ms=at_ms, by=by, name=name, scopes=list(dict.fromkeys(scopes)),
        sha256=_sha256(secret), expires_ms=expires_ms,
    )  # fmt: skip
    return record, SecretStr(f"{PREFIX}_{id_}_{secret}")


def rotated(
    key: ApiKey, *, by: str, at_ms: int, overlap_ms: int, lasts_ms: int
) -> tuple[tuple[ApiKey, ApiKey], SecretStr]:
    """The key as it ends after the overlap, and its successor; see `new_key`."""
    ends_ms = min(key.expires_ms, at_ms + overlap_ms)
    old = key.model_copy(update={"version": key.version + 1, "by": by, "at_ms": at_ms, "expires_ms": ends_ms})
    new, secret = new_key(key.name, key.scopes, by=by, at_ms=at_ms, expires_ms=at_ms + lasts_ms)
    return (old, new), secret


def revoked(key: ApiKey, *, by: str, at_ms: int) -> ApiKey:
    """The version of a key that is refused."""
    return key.model_copy(update={"version": key.version + 1, "by": by, "at_ms": at_ms, "revoked": True})


def new_account(name: str, password: SecretStr, scopes: Sequence[str], *, by: str, at_ms: int) -> Account:
    """An account with an id of its own. Raises BadSettings."""
    if len(password.get_secret_value()) < LEAST_PASSWORD:
        raise BadSettings(f"a password has at least {LEAST_PASSWORD} characters")
    return _made(
        Account, id=f"account/{uuid.uuid4()}", version=1, at_ms=at_ms, by=by, name=name,
        scopes=list(dict.fromkeys(scopes)), password=scrypt(password),
    )  # fmt: skip


def scrypt(password: SecretStr, salt: bytes | None = None) -> str:
    """A password as it may be stored."""
    salt = salt or secrets.token_bytes(16)
    parts = (base64.b64encode(one).decode() for one in (salt, _scrypt(password, salt, _N, _R, _P)))
    return "$".join(("scrypt", str(_N), str(_R), str(_P), *parts))


def is_password(stored: str, password: SecretStr) -> bool:
    """Whether it is the one that was stored."""
    _, n, r, p, salt, digest = stored.split("$")
    found = _scrypt(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(digest))


def _scrypt(password: SecretStr, salt: bytes, n: int, r: int, p: int) -> bytes:
    text = password.get_secret_value().encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=_SCRYPT_BYTES, dklen=32)


@dataclass(slots=True)
class Access:
    """The newest version of each key and account."""

    keys: dict[str, ApiKey] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)

    def take(self, value: bytes | None) -> None:
        """A record of `access`; what cannot be read is passed over."""
        try:
            record = _RECORD.validate_json(value or b"")
        except ValidationError:
            return
        known: Mapping[str, ApiKey | Account] = self.keys if isinstance(record, ApiKey) else self.accounts
        if record.id in known and known[record.id].version > record.version:
            return
        if isinstance(record, ApiKey):
            self.keys[record.id] = record
        else:
            self.accounts[record.id] = record

    def asker(self, text: SecretStr, *, at_ms: int) -> Asker:
        """Who shows this key.

        Raises:
            Refused: Nobody, or somebody no longer.
        """
        prefix, _, rest = text.get_secret_value().partition("_")
        id_, _, secret = rest.partition("_")
        key = self.keys.get(f"key/{id_}") if prefix == PREFIX else None
        matches = hmac.compare_digest(_sha256(secret), key.sha256 if key is not None else "0" * 64)
        if key is None or not matches:
            raise Refused("the key is unknown")
        if key.revoked:
            raise Refused("the key was revoked")
        if at_ms >= key.expires_ms:
            raise Refused("the key has expired")
        return Asker(key.id, key.name, frozenset(key.scopes))

    def signed_in(self, name: str, password: SecretStr) -> Account:
        """The account of a name and its password. Takes as long where there is none.

        Raises:
            Refused: One of them is wrong.
        """
        account = next((one for one in self.accounts.values() if one.name == name and one.enabled), None)
        matches = is_password(account.password if account is not None else _nobodys(), password)
        if account is None or not matches:
            raise Refused("name or password is wrong")
        return account

    def key(self, name: str) -> ApiKey:
        """A key by its id, or the begin of it, or its name. Raises BadSettings."""
        found = [one for one in self.keys.values() if name and (one.id.startswith(f"key/{name}") or one.name == name)]
        if len(found) != 1:
            there = ", ".join(f"{one.id[4:]} ({one.name})" for one in self.keys.values()) or "none"
            raise BadSettings(f"there {'are several keys' if found else 'is no key'} {name}; there are: {there}")
        return found[0]


@cache
def _nobodys() -> str:
    return scrypt(SecretStr("nobody has this password"), b"0" * 16)


async def read(config: KafkaConfig) -> Access:
    """What stands on `access`."""
    access = Access()
    async for value in control.values(config, ACCESS.name):
        access.take(value)
    return access


async def publish(config: KafkaConfig, records: Iterable[ApiKey | Account]) -> None:
    """Sends records; returns when Kafka has acknowledged them all."""
    async with connected(config) as client:
        await Outbox(client).deliver(
            Message(ACCESS.name, one.id.encode(), one.model_dump_json().encode()) for one in records
        )


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _made(model: type[_Record], **fields: object) -> _Record:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise BadSettings("; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())) from None
