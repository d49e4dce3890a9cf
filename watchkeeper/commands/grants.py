"""`watchkeeper keys` and `watchkeeper accounts`: who may ask the API for what."""

import asyncio
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from connect.clock import now_ms
from connect.config import KafkaConfig
from operations import access
from schemas.access import Account, ApiKey
from schemas.durations import duration_ms
from schemas.errors import BadSettings
from watchkeeper import addresses
from watchkeeper.commands.output import json_lines, table
from watchkeeper.sources import Nested, load
from watchkeeper.whoami import whoami
from watchkeeper.words import moment


def create(name: str, scopes: Sequence[str], arguments: Nested, config: Path | None, *, lasts: str) -> None:
    """Makes a key and prints it. Raises BadSettings, BrokerUnavailable."""
    at_ms = now_ms()
    expires_ms = at_ms + _duration_ms("--expires", lasts)
    key, secret = access.new_key(name, scopes, by=whoami(), at_ms=at_ms, expires_ms=expires_ms)
    _publish(_kafka(arguments, config), key)
    _tell(key, secret)


def rotate(name: str, arguments: Nested, config: Path | None, *, overlap: str, lasts: str) -> None:
    """Makes a successor and prints it. Raises BadSettings, BrokerUnavailable."""
    kafka = _kafka(arguments, config)
    old = asyncio.run(access.read(kafka)).key(name)
    if old.revoked or old.expires_ms <= now_ms():
        raise BadSettings(f"{_id(old)} is no longer taken: create a new key")
    (ending, new), secret = access.rotated(
        old, by=whoami(), at_ms=now_ms(), overlap_ms=_duration_ms("--overlap", overlap),
        lasts_ms=_duration_ms("--expires", lasts),
    )  # fmt: skip
    _publish(kafka, ending, new)
    print(f"{_id(old)} is taken until {moment(ending.expires_ms)}", file=sys.stderr)
    _tell(new, secret)


def revoke(name: str, arguments: Nested, config: Path | None) -> None:
    """Refuses a key. Raises BadSettings, BrokerUnavailable."""
    kafka = _kafka(arguments, config)
    key = asyncio.run(access.read(kafka)).key(name)
    _publish(kafka, access.revoked(key, by=whoami(), at_ms=now_ms()))
    print(f"{_id(key)} ({key.name}) is refused from now on")


def show(arguments: Nested, config: Path | None, *, as_json: bool) -> None:
    """Prints the keys. Raises BrokerUnavailable."""
    known = asyncio.run(access.read(_kafka(arguments, config))).keys.values()
    found = sorted(known, key=lambda one: (one.name, one.at_ms))
    if as_json:
        json_lines(one.model_dump(mode="json", exclude={"sha256"}) for one in found)
        return
    rows = [(_id(one), one.name, ", ".join(one.scopes), _state(one), one.by) for one in found]
    table(("key", "name", "may", "state", "decided by"), rows, empty="there are no keys: `watchkeeper keys create`")


def create_account(name: str, scopes: Sequence[str], arguments: Nested, config: Path | None) -> None:
    """Makes an account. Raises BadSettings, BrokerUnavailable."""
    kafka = _kafka(arguments, config)
    if any(one.name == name for one in asyncio.run(access.read(kafka)).accounts.values()):
        raise BadSettings(f"there is an account {name} already")
    account = access.new_account(name, _password(), scopes, by=whoami(), at_ms=now_ms())
    _publish(kafka, account)
    print(f"{account.id.partition('/')[2]}: {name} may {', '.join(account.scopes)}")


def show_accounts(arguments: Nested, config: Path | None, *, as_json: bool) -> None:
    """Prints the accounts. Raises BrokerUnavailable."""
    known = asyncio.run(access.read(_kafka(arguments, config))).accounts.values()
    found = sorted(known, key=lambda one: one.name)
    if as_json:
        json_lines(one.model_dump(mode="json", exclude={"password"}) for one in found)
        return
    rows = [
        (one.name, ", ".join(one.scopes), "on" if one.enabled else "off", one.id.partition("/")[2]) for one in found
    ]
    table(("name", "may", "state", "id"), rows, empty="there are no accounts: `watchkeeper accounts create`")


def disable_account(name: str, arguments: Nested, config: Path | None) -> None:
    """Lets an account sign in no more. Raises BadSettings, BrokerUnavailable."""
    kafka = _kafka(arguments, config)
    known = [one for one in asyncio.run(access.read(kafka)).accounts.values() if one.name == name]
    if not known:
        raise BadSettings(f"there is no account {name}: `watchkeeper accounts list` tells them")
    news = {"version": known[0].version + 1, "by": whoami(), "at_ms": now_ms(), "enabled": False}
    _publish(kafka, known[0].model_copy(update=news))
    print(f"{name} can no longer sign in")


def _kafka(arguments: Nested, config: Path | None) -> KafkaConfig:
    return addresses.kafka_config(load(arguments, config=config))


def _publish(kafka: KafkaConfig, *records: ApiKey | Account) -> None:
    asyncio.run(access.publish(kafka, records))


def _tell(key: ApiKey, secret: SecretStr) -> None:
    """The key alone on standard output, so that a script can take it."""
    print(f"{key.name} may {', '.join(key.scopes)} until {moment(key.expires_ms)}; shown this once:", file=sys.stderr)
    print(secret.get_secret_value())


def _password() -> SecretStr:
    if not sys.stdin.isatty():
        return SecretStr(sys.stdin.readline().rstrip("\n"))
    password = getpass.getpass("password: ")
    if getpass.getpass("once more: ") != password:
        raise BadSettings("the passwords differ")
    return SecretStr(password)


def _state(key: ApiKey) -> str:
    if key.revoked:
        return "revoked"
    return f"until {moment(key.expires_ms)}" if key.expires_ms > now_ms() else "expired"


def _id(key: ApiKey) -> str:
    return key.id.partition("/")[2]


def _duration_ms(option: str, text: str) -> int:
    try:
        return int(str(duration_ms(text)))
    except ValueError as error:
        raise BadSettings(f"{option}: {error}") from None
