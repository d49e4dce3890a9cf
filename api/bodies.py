"""Bodies of requests: unpacked within limits, and cut into records."""

import sys
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import msgspec

from api.problems import Problem

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_PACKED_BYTES = 8 * 1024 * 1024
MAX_BYTES = 32 * 1024 * 1024
MAX_RECORDS = 10_000

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
ENCODINGS = ("identity", "gzip", "zstd")


async def read(stream: AsyncIterator[bytes], headers: Mapping[str, str]) -> bytes:
    """A whole body, unpacked.

    Raises:
        Problem: It is too large (413), or its encoding is unknown (415), or it cannot be unpacked (400).
    """
    encoding = headers.get("content-encoding", "identity").strip().lower() or "identity"
    if encoding not in ENCODINGS:
        raise Problem(415, f"Content-Encoding {encoding[:64]} is unknown", remedy=f"One of {', '.join(ENCODINGS)}.")
    limit = MAX_BYTES if encoding == "identity" else MAX_PACKED_BYTES
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    packed = bytearray()
    async for part in stream:
        packed += part
        if len(packed) > limit:
            raise _too_large(limit)
    return bytes(packed) if encoding == "identity" else _unpacked(bytes(packed), encoding)


def _unpacked(packed: bytes, encoding: str) -> bytes:
    try:
        if encoding == "gzip":
            unpacker = zlib.decompressobj(wbits=31)
            body, whole = unpacker.decompress(packed, MAX_BYTES + 1), unpacker.eof
        else:
            decompressor = zstd.ZstdDecompressor()
            body, whole = decompressor.decompress(packed, MAX_BYTES + 1), decompressor.eof
    except (zlib.error, zstd.ZstdError) as error:
        raise Problem(400, f"the body is not {encoding}: {error}") from None
    if len(body) > MAX_BYTES:
        raise _too_large(MAX_BYTES)
    if not whole:
        raise Problem(400, f"the body ends in the middle of its {encoding}")
    return body


def _too_large(limit: int) -> Problem:
    return Problem(413, f"a body has at most {limit} bytes", remedy="Send fewer records at a time.")


def records(body: bytes, content_type: str) -> Iterator[Any]:
    """The records of a body: lines of NDJSON as bytes, else what a JSON array, or `{"records": [...]}`, holds.

    Raises:
        Problem: There are none (422), too many (413), or it is no JSON (400).
    """
    kind = content_type.partition(";")[0].strip().lower()
    found: list[Any]
    if kind in NDJSON:
        found = [line for line in body.split(b"\n") if line.strip()]
    elif kind in ("application/json", ""):
        found = _of_json(body)
    else:
        raise Problem(415, f"Content-Type {kind[:64]} is unknown", remedy="application/json or application/x-ndjson.")
    if not found:
        raise Problem(422, "there are no records in the body")
    if len(found) > MAX_RECORDS:
        raise Problem(413, f"{len(found)} records; at most {MAX_RECORDS}", remedy="Send fewer records at a time.")
    yield from found


def _of_json(body: bytes) -> list[Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON: {error}") from None
    if isinstance(value, dict) and isinstance(value.get("records"), list):
        value = value["records"]
    return value if isinstance(value, list) else [value]
