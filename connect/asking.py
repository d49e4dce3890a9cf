"""Asks processes how they are, and ClickHouse what fires: small HTTP requests, without an HTTP library."""

import asyncio
import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_S = 2.0
_MAX_PARTS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """ClickHouse's HTTP interface. The same as `ClickHouseConfig`, without what takes long to import."""

    host: str
    port: int
    username: str = "default"
    password: str = field(default="", repr=False)
    secure: bool = False
    ca_file: str = ""


async def status_of(address: str, *, timeout_s: float = TIMEOUT_S) -> dict[str, Any] | None:
    """What a process answers at /status; None when it does not answer.

    Args:
        address: HOST:PORT of its metrics.
        timeout_s: How long to wait.
    """
    host, _, port = address.rpartition(":")
    try:
        _, body = await get(host, int(port), "/status", timeout_s=timeout_s)
        answer: dict[str, Any] = json.loads(body)
    except (OSError, TimeoutError, ValueError):
        return None
    return answer


async def rows_of(clickhouse: Endpoint, sql: str, *, timeout_s: float = TIMEOUT_S) -> list[dict[str, Any]] | None:
    """Rows of a query that returns few; None when ClickHouse does not answer, or refuses."""
    secret = base64.b64encode(f"{clickhouse.username}:{clickhouse.password}".encode()).decode()
    context = ssl.create_default_context(cafile=clickhouse.ca_file or None) if clickhouse.secure else None
    body = sql.encode()
    try:
        status, answer = await get(
            clickhouse.host,
            clickhouse.port,
            "/?default_format=JSONEachRow",
            timeout_s=timeout_s,
            headers={"Authorization": f"Basic {secret}", "Content-Length": str(len(body))},
            body=body,
            context=context,
        )
        return [json.loads(line) for line in answer.splitlines()] if status == 200 else None
    except (OSError, TimeoutError, ValueError):
        return None


async def get(
    host: str,
    port: int,
    path: str,
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    context: ssl.SSLContext | None = None,
) -> tuple[int, bytes]:
    """One request, a POST if it has a body; status code and body of the answer.

    Raises:
        OSError: No connection.
        TimeoutError: No answer in time.
        ValueError: The answer is not HTTP.
    """
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.0", f"Host: {host}:{port}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            answer = await _to_its_end(reader)
        finally:
            writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/"):
        raise ValueError(f"{host}:{port} does not speak HTTP")
    return int(head.split(maxsplit=2)[1]), content


async def _to_its_end(reader: asyncio.StreamReader) -> bytes:
    """HTTP/1.0: the answer ends where the connection does."""
    parts: list[bytes] = []
    while (part := await reader.read(65_536)) and len(parts) < _MAX_PARTS:
        parts.append(part)
    return b"".join(parts)
