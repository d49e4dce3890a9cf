"""Where an HTTP request may lead: addresses in all their disguises."""

import gzip
import socket

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from connect.guarded_http import MAX_ANSWER_BYTES, AddressRefused, GuardedHttp, networks
from schemas.errors import PermanentError, TransientError
from tests.http_server import server

REFUSED = [
    # Loopback, written in every way that a resolver reads.
    *("127.0.0.1", "127.0.0.2", "127.255.255.254", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1"),
    *("0177.0.0.1", "017700000001", "0x7f.0x0.0x0.0x1", "0X7F000001", "127.0.0.1.", "localhost", "LOCALHOST"),
    *(
        "localhost.",
        "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
        "①②⑦.⓪.⓪.①",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[0000::0001]",
    ),
    # This machine, and nobody.
    *("0.0.0.0", "0", "0x0", "[::]", "255.255.255.255"),
    # Private, shared and link-local networks, metadata services.
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "169.254.169.254"),
    *("2852039166", "0xa9fea9fe", "169.254.0.1", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]"),
    # For documentation, benchmarks, the future; multicast.
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "240.0.0.1", "224.0.0.1", "239.255.255.250"),
    *("192.0.0.1", "[2001:db8::1]", "[ff02::1]", "[100::1]", "[2001:10::1]"),
    # IPv4 within IPv6: mapped, compatible, translated, 6to4, Teredo.
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]"),
    *("[::7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:7f00:1::1]"),
    *("[2002:a9fe:a9fe::1]", "[2001:0:7f00:1::1]", "[::ffff:0:127.0.0.1]"),
]
NAMES = {
    "inside.example": ["10.0.0.7"],
    "both.example": ["93.184.215.14", "127.0.0.1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "zone.example": ["fe80::1%eth0"],
}


class Resolver(AbstractResolver):
    """Knows some names; of others it says what the system says. Never asks the network."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        self.names = names
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        found = self.names.get(host)
        if found is None:
            asked = host.rstrip(".")
            flags = 0 if asked == "localhost" else socket.AI_NUMERICHOST
            found = [str(one[4][0]) for one in socket.getaddrinfo(asked, port, type=socket.SOCK_STREAM, flags=flags)]
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0) for one in found
        ]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("host", REFUSED)
@pytest.mark.asyncio
async def test_an_address_that_is_not_public_is_refused_however_it_is_written(host: str) -> None:
    async with GuardedHttp(resolver=Resolver({}), timeout_s=2) as http:
        for url in (f"http://{host}/hook", f"https://{host}:8443/hook"):
            with pytest.raises(PermanentError):
                await http.post(url, b"", {})


def test_there_are_many_of_them() -> None:
    assert len(set(REFUSED)) >= 60


@pytest.mark.parametrize("host", NAMES)
@pytest.mark.asyncio
async def test_a_name_is_refused_if_one_of_its_addresses_is(host: str) -> None:
    async with GuardedHttp(resolver=Resolver(NAMES), timeout_s=2) as http:
        with pytest.raises(AddressRefused, match="list it in allow_networks"):
            await http.post(f"http://{host}/", b"", {})


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://93.184.215.14/", "file:///etc/passwd", "gopher://93.184.215.14/", "//93.184.215.14/", "hook", ""),
        *("http://", "http:///path", "http://user@93.184.215.14/", "http://a:b@93.184.215.14/", " http://x.example/"),
        *("http://93.184.215.14@127.0.0.1/", "http://x.example/\r\nHost: y", "http://x.example:99999/", "http://[::1/"),
        "http://x.example/" + "a" * 5_000,
    ],
)
@pytest.mark.asyncio
async def test_what_is_no_url_to_post_to_is_refused(url: str) -> None:
    resolver = Resolver({"x.example": ["93.184.215.14"]})
    async with GuardedHttp(resolver=resolver, timeout_s=2) as http:
        with pytest.raises(PermanentError):
            await http.post(url, b"", {})
    assert resolver.asked == []


@pytest.mark.asyncio
async def test_exactly_the_address_that_was_checked_is_connected_to() -> None:
    """A name that is public when it is asked first, and loopback when it is asked again."""
    async with server(lambda _: web.Response()) as port:
        resolver = Resolver({"rebinds.example": ["93.184.215.14"]})
        async with GuardedHttp(resolver=resolver, timeout_s=0.5) as http:
            with pytest.raises(TransientError):
                await http.post(f"http://rebinds.example:{port}/", b"", {})
            assert resolver.asked == ["rebinds.example"]
            resolver.names["rebinds.example"] = ["127.0.0.1"]
            with pytest.raises(AddressRefused):
                await http.post(f"http://rebinds.example:{port}/", b"", {})


@pytest.mark.asyncio
async def test_a_network_that_is_allowed_is_reached() -> None:
    async with (
        server(lambda request: web.Response(text=request.headers["X-One"])) as port,
        GuardedHttp(allowed=["127.0.0.0/8"]) as http,
    ):
        for host in ("127.0.0.1", "[::ffff:127.0.0.1]"):
            answer = await http.post(f"http://{host}:{port}/hook", b"body", {"X-One": "1"})
            assert (answer.status, answer.body) == (200, b"1")
        with pytest.raises(AddressRefused):
            await http.post("http://10.0.0.1/", b"", {})


@pytest.mark.parametrize(
    ("status", "error", "wait_s"),
    [
        (301, PermanentError, None),
        (307, PermanentError, None),
        (400, PermanentError, None),
        (401, PermanentError, None),
        (404, PermanentError, None),
        (408, TransientError, 7.0),
        (429, TransientError, 7.0),
        (500, TransientError, 7.0),
        (503, TransientError, 7.0),
        (599, TransientError, 7.0),
    ],
)
@pytest.mark.asyncio
async def test_what_a_server_answers_is_permanent_or_passes(
    status: int, error: type[Exception], wait_s: float | None
) -> None:
    headers = {"Retry-After": "7", "Location": "http://127.0.0.1:1/"}
    async with (
        server(lambda _: web.Response(status=status, headers=headers)) as port,
        GuardedHttp(allowed=["127.0.0.0/8"]) as http,
    ):
        with pytest.raises(error) as raised:
            await http.post(f"http://127.0.0.1:{port}/secret-path", b"", {})
    assert "secret-path" not in str(raised.value)
    if wait_s is not None:
        assert isinstance(raised.value, TransientError)
        assert raised.value.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        *(("", 1.0), ("0", 1.0), ("1e9", 3_600.0), ("nan", 1.0), ("soon", 1.0)),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 99999999999999999999999 07:28:00 GMT", 1.0),
    ],
)
@pytest.mark.asyncio
async def test_how_long_a_server_wants_us_to_wait_is_bounded(header: str, wait_s: float) -> None:
    async with (
        server(lambda _: web.Response(status=503, headers={"Retry-After": header})) as port,
        GuardedHttp(allowed=["127.0.0.0/8"]) as http,
    ):
        with pytest.raises(TransientError) as raised:
            await http.post(f"http://127.0.0.1:{port}/", b"", {})
    assert raised.value.retry_after_s == wait_s


@pytest.mark.asyncio
async def test_an_answer_that_repeats_the_secret_part_of_the_url_gives_nothing_away() -> None:
    async with (
        server(lambda request: web.Response(status=404, text=f"Cannot POST {request.rel_url}")) as port,
        GuardedHttp(allowed=["127.0.0.0/8"]) as http,
    ):
        with pytest.raises(PermanentError, match=r"answers 404: Cannot POST \*\*\*$"):
            await http.post(f"http://127.0.0.1:{port}/hook/T0SECRET?token=s3cr3t-too", b"", {})


@pytest.mark.asyncio
async def test_a_packed_answer_is_not_unpacked() -> None:
    packed = gzip.compress(bytes(50_000_000))
    async with (
        server(lambda _: web.Response(body=packed, headers={"Content-Encoding": "gzip"})) as port,
        GuardedHttp(allowed=["127.0.0.0/8"]) as http,
    ):
        assert packed.startswith((await http.post(f"http://127.0.0.1:{port}/", b"", {})).body)


@pytest.mark.asyncio
async def test_of_an_endless_answer_no_more_than_the_limit_is_read() -> None:
    async with (
        server(lambda _: web.Response(body=bytes(3 * MAX_ANSWER_BYTES))) as port,
        GuardedHttp(allowed=["127.0.0.0/8"]) as http,
    ):
        assert len((await http.post(f"http://127.0.0.1:{port}/", b"", {})).body) <= MAX_ANSWER_BYTES


@pytest.mark.asyncio
async def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with GuardedHttp(allowed=["127.0.0.0/8"], timeout_s=0.2) as http:
            with pytest.raises(TransientError, match="no answer in time"):
                await http.post(f"http://127.0.0.1:{port}/", b"", {})


def test_networks_are_checked_when_they_are_read() -> None:
    assert networks(["10.0.0.0/8", "::1/128"]) == ["10.0.0.0/8", "::1/128"]
    with pytest.raises(ValueError, match="host bits set"):
        networks(["10.0.0.1/8"])
