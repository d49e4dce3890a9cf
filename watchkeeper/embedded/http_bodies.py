"""Bodies of requests and answers: their limit, and the encodings that they may have."""

import importlib
import sys
import zlib
from typing import IO, Any, Protocol

MAX_BODY_BYTES = 256 * 1024 * 1024
_LINE_BYTES = 1024


class TooLarge(Exception):  # noqa: N818
    """A body exceeds `MAX_BODY_BYTES`, as it came or decompressed."""


class BadBody(Exception):  # noqa: N818
    """A body that is not what its headers say, or that ended early."""


class Encoder(Protocol):
    """Compresses an answer piece by piece."""

    def compress(self, piece: bytes, /) -> bytes:
        """What can be sent so far."""

    def flush(self) -> bytes:
        """The rest."""


def received(stream: IO[bytes], *, length: str | None, chunked: bool) -> bytes:
    """The body of a request as it came.

    Raises:
        TooLarge: It exceeds the limit; the rest of it is left unread.
        BadBody: The sender went away before its end: nothing of it may be used.
    """
    if chunked:
        return _chunks(stream)
    try:
        size = int(length or 0)
    except ValueError:
        raise BadBody(f"Content-Length {length!r} is not a number") from None
    return _exactly(stream, size, MAX_BODY_BYTES)


def _chunks(stream: IO[bytes]) -> bytes:
    body = bytearray()
    while True:
        line = stream.readline(_LINE_BYTES)
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            raise BadBody("the body ended early, or is not in chunks") from None
        if size == 0:
            break
        body += _exactly(stream, size, MAX_BODY_BYTES - len(body))
        _exactly(stream, 2, 2)
    while stream.readline(_LINE_BYTES).strip():
        """Trailers say nothing that is needed."""
    return bytes(body)


def _exactly(stream: IO[bytes], size: int, limit: int) -> bytes:
    if size > limit:
        raise TooLarge
    if size < 0:
        raise BadBody("a length is negative")
    part = stream.read(size)
    if len(part) < size:
        raise BadBody("the body ended early")
    return part


def decoded(body: bytes, encoding: str) -> bytes:
    """A body without its Content-Encoding. It may consist of several members one after the other.

    Raises:
        TooLarge: It would exceed the limit.
        BadBody: The encoding is not known here, or the bytes are not of it, or end early.
    """
    if encoding in ("", "identity"):
        return body
    plain, rest = bytearray(), body
    while rest:
        decoder = _decoder(encoding)
        try:
            plain += decoder.decompress(rest, MAX_BODY_BYTES - len(plain) + 1)
        except Exception as error:  # noqa: BLE001  (each codec has errors of its own, one of them plain RuntimeErrors)
            raise BadBody(f"the body is not {encoding}: {error}") from None
        if len(plain) > MAX_BODY_BYTES:
            raise TooLarge
        if not decoder.eof:
            raise BadBody(f"the body ends in the middle of {encoding}")
        rest = decoder.unused_data
    return bytes(plain)


def _decoder(encoding: str) -> Any:
    match encoding:
        case "gzip":
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        case "deflate":
            return zlib.decompressobj()
        case "lz4" if (lz4 := _lz4()) is not None:
            return lz4.LZ4FrameDecompressor()
        case "zstd" if (zstd := _zstd()) is not None:
            return zstd.ZstdDecompressor()
        case _:
            raise BadBody(f"Content-Encoding {encoding} is not known here; use gzip, deflate, lz4 or zstd")


def encoder(accepted: str) -> tuple[str, Encoder] | None:
    """The first of our encodings that a client accepts, by name, and what makes it; None: none."""
    names = {part.split(";")[0].strip().lower() for part in accepted.split(",")}
    if "lz4" in names and (lz4 := _lz4()) is not None:
        return "lz4", _Lz4(lz4)
    if "zstd" in names and (zstd := _zstd()) is not None:
        return "zstd", zstd.ZstdCompressor(level=1)
    if "gzip" in names:
        return "gzip", zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    if "deflate" in names:
        return "deflate", zlib.compressobj(1)
    return None


class _Lz4:
    def __init__(self, module: Any) -> None:
        self._compressor = module.LZ4FrameCompressor()
        self._head: bytes = self._compressor.begin()

    def compress(self, piece: bytes, /) -> bytes:
        head, self._head = self._head, b""
        return head + bytes(self._compressor.compress(piece))

    def flush(self) -> bytes:
        return self._head + bytes(self._compressor.flush())


def _lz4() -> Any | None:
    return _module("lz4.frame")


def _zstd() -> Any | None:
    return _module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def _module(name: str) -> Any | None:
    """A codec, where it is installed: clickhouse-connect brings them for most versions of Python."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
