"""A TCP proxy on loopback that does to a connection what networks do: delay it, starve it, cut it, forget it."""

import asyncio
import random
import threading
from collections.abc import Coroutine
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

CHUNK_BYTES = 65_536
LATENCY_S = (0.05, 0.3)
RESET_BYTES = (1, 200_000)
SLOW_BYTES_PER_S = 1
ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsad\n"


class Mode(StrEnum):
    """What is done to every connection."""

    THROUGH = "through"
    LATENCY = "latency"
    SLOW = "1 byte/s"
    RESET = "resets"
    HALF_OPEN = "half-open"
    REFUSE = "accept and close"
    ERROR = "HTTP 500"
    GONE = "nobody listens"


class FaultProxy:
    """Listens on a port of its own and passes on to another, as `mode` says. Runs in a thread of its own.

    Args:
        target: Port on loopback.
        port: To listen on; 0: any.
    """

    def __init__(self, target: int, *, port: int = 0, seed: int = 0) -> None:
        self.port = port
        self._target = target
        self._numbers = random.Random(seed)
        self._mode = Mode.THROUGH
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(self, mode: Mode) -> None:
        """From now on. What was half-open, slow or about to be reset is cut when the mode changes."""
        self._do(self._set(mode))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut()

    async def _set(self, mode: Mode) -> None:
        before, self._mode = self._mode, mode
        if Mode.GONE in (before, mode):
            await (self._close() if mode is Mode.GONE else self._listen())
        elif before in (Mode.HALF_OPEN, Mode.SLOW, Mode.RESET) or mode in (Mode.REFUSE, Mode.ERROR):
            await self._cut()

    async def _cut(self) -> None:
        open_now = tuple(self._open)
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await self._serve(reader, writer)
        self._open.discard(task)
        writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is Mode.REFUSE:
            return
        if self._mode is Mode.ERROR:
            await reader.read(CHUNK_BYTES)
            writer.write(ERROR)
            await writer.drain()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [
            asyncio.ensure_future(self._pump(reader, far_writer)),
            asyncio.ensure_future(self._pump(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes bytes on until the end, or until the connection is to be cut."""
        left = self._numbers.randint(*RESET_BYTES)
        while data := await reader.read(CHUNK_BYTES):
            if self._mode is Mode.HALF_OPEN:
                # Nothing is passed on any more, and nobody is told.
                await asyncio.get_running_loop().create_future()
            elif self._mode is Mode.SLOW:
                await self._trickle(data, writer)
                continue
            elif self._mode is Mode.LATENCY:
                await asyncio.sleep(self._numbers.uniform(*LATENCY_S))
            elif self._mode is Mode.RESET:
                left -= len(data)
                if left < 0:
                    return
            writer.write(data)
            await writer.drain()

    async def _trickle(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        for first in range(len(data)):
            writer.write(data[first : first + 1])
            await writer.drain()
            await asyncio.sleep(1 / SLOW_BYTES_PER_S)
