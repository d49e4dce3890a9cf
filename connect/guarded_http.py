"""HTTP to addresses that people write into settings: never to one that they did not mean.

A name is resolved once. Every address that it has is checked, and one of those that were checked is connected to: so a
name that changes its mind between check and connection gains nothing (DNS rebinding). Redirects are not followed,
proxies of the environment are not asked, and time and size of an answer are limited.
"""

import math
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from schemas.errors import PermanentError, TransientError

MAX_ANSWER_BYTES = 65_536
MAX_URL_CHARS = 4_096
MAX_RETRY_AFTER_S = 3_600.0
MIN_SECRET_CHARS = 6
"""Shorter parts of a URL are no secrets, but words that an answer may hold by chance."""
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed later; so may all others of 500 and more."""

_GLOBAL_V6 = IPv6Network("2000::/3")
_EMBEDDING_V6 = tuple(map(IPv6Network, ("2001::/32", "2002::/16")))
"""Teredo and 6to4: an address of IPv4 in disguise, which another router unpacks."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class AddressRefused(PermanentError):  # noqa: N818
    """An address that must not be connected to."""


class Answer(NamedTuple):
    """What a server said: at most `MAX_ANSWER_BYTES` of it."""

    status: int
    body: bytes


class Addresses:
    """Which addresses may be connected to: those of the public internet, and networks that are allowed by name.

    Args:
        allowed: Such as `10.1.0.0/16` or `127.0.0.1/32`.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed: tuple[Network, ...] = tuple(map(ip_network, allowed))

    def check(self, address: Address) -> None:
        """Raises AddressRefused, with the remedy."""
        plain = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
        if any(plain in network for network in self._allowed if network.version == plain.version):
            return
        if not _public(plain):
            raise AddressRefused(
                f"{address} is not an address of the public internet: if it is meant, list it in allow_networks,"
                f" such as {plain}/{plain.max_prefixlen}"
            )


def _public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return True
    return address in _GLOBAL_V6 and not any(address in network for network in _EMBEDDING_V6)


class _CheckedResolver(AbstractResolver):
    """The system's resolver, with what it says checked."""

    def __init__(self, addresses: Addresses, system: AbstractResolver) -> None:
        self._addresses = addresses
        self._system = system

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        for one in found:
            self._addresses.check(ip_address(one["host"].partition("%")[0]))
        return found

    async def close(self) -> None:
        await self._system.close()


class GuardedHttp:
    """Posts to URLs.

    Args:
        allowed: See `Addresses`.
        timeout_s: For a whole request, the connection included.
        resolver: Instead of the system's.
    """

    def __init__(
        self, *, allowed: Iterable[str] = (), timeout_s: float = 10.0, resolver: AbstractResolver | None = None
    ) -> None:
        self._addresses = Addresses(allowed)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes its connections. Safe twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Posts; returns what a server answers that took it.

        No message of an error holds the URL: its path often is a secret.

        Raises:
            AddressRefused: It leads to where it must not.
            PermanentError: It is no URL to post to, or the server refuses: 3xx, and 4xx apart from those below.
            TransientError: The server was not reached, answers too late, or 408, 425, 429 or 5xx.
        """
        target = _target(url)
        host = target.raw_host or ""
        with suppress(ValueError):
            # A literal is not resolved.
            self._addresses.check(ip_address(host.strip("[]").partition("%")[0]))
        try:
            async with self._connected().post(target, data=body, headers=headers, allow_redirects=False) as response:
                answer = Answer(response.status, await response.content.read(MAX_ANSWER_BYTES))
                retry_after = response.headers.get("Retry-After", "")
        except AddressRefused:
            raise
        except aiohttp.InvalidURL:
            raise PermanentError(f"the URL cannot be posted to: {host!r} is no host") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise TransientError(f"{host} was not reached: {_told(error)}") from None
        return _judged(target, answer, retry_after)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            system = self._resolver or aiohttp.ThreadedResolver()
            connector = aiohttp.TCPConnector(
                resolver=_CheckedResolver(self._addresses, system), use_dns_cache=False, limit=32
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                # A small answer may unpack to a huge one.
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
            )
        return self._session


def _target(url: str) -> URL:
    """Raises PermanentError."""
    try:
        target = URL(url)
        fault = _fault(url, target)
    except ValueError:
        target, fault = URL(), "it cannot be read"
    if fault:
        raise PermanentError(f"the URL cannot be posted to: {fault}")
    return target


def _fault(url: str, target: URL) -> str:
    if len(url) > MAX_URL_CHARS:
        return f"it is longer than {MAX_URL_CHARS} characters"
    if any(ord(char) <= ord(" ") for char in url):
        return "it holds blanks"
    if target.scheme not in {"http", "https"}:
        return "its scheme is not http or https"
    if not target.host:
        return "it names no host"
    if target.user is not None or target.password is not None:
        return "it holds a user name or a password: give them as headers"
    return ""


def _told(error: BaseException) -> str:
    """Without the URL."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error)
    return type(error).__name__


def _judged(target: URL, answer: Answer, retry_after: str) -> Answer:
    if 200 <= answer.status < 300:
        return answer
    host = target.raw_host or ""
    said = _without_url(answer.body.decode("utf-8", "replace"), target)[:200].strip()
    sentence = f"{host} answers {answer.status}{f': {said}' if said else ''}"
    if answer.status in _PASSING or answer.status >= 500:
        raise TransientError(sentence, retry_after_s=_seconds(retry_after))
    if 300 <= answer.status < 400:
        raise PermanentError(f"{host} answers {answer.status}, and redirects are not followed: give the URL itself")
    raise PermanentError(sentence)


def _without_url(said: str, target: URL) -> str:
    """Servers repeat what they were asked for ("Cannot POST /..."), whole or in parts."""
    parts = {target.raw_path_qs, target.raw_path, target.path, target.raw_query_string, target.query_string}
    parts |= {*target.raw_parts, *target.parts, *target.query.values()}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= MIN_SECRET_CHARS:
            said = said.replace(part, "***")
    return said


def _seconds(retry_after: str) -> float:
    """Of a header `Retry-After`; dates of it are not taken at their word, since clocks differ."""
    try:
        wanted = float(retry_after)
    except ValueError:
        wanted = 30.0 if _is_date(retry_after) else 1.0
    return min(max(wanted, 1.0), MAX_RETRY_AFTER_S) if math.isfinite(wanted) else 1.0


def _is_date(text: str) -> bool:
    try:
        parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return False
    return True


def networks(values: Sequence[str]) -> Sequence[str]:
    """The same, once they can all be read. Raises ValueError."""
    for value in values:
        ip_network(value)
    return values
