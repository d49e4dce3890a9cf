"""The gate before the embedded broker: while a broker is replaced, what others produce waits here, unacknowledged.

It passes Kafka's requests and answers on without reading more of them than their heads. Our own clients are known by
the ids that they give, and always pass. Requests with records pass one at a time, see `watchkeeper.embedded.turns`.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from schemas.errors import BadSettings
from watchkeeper.embedded.turns import ACKS_BYTES, Turns, wants_answer

PRODUCE = 0
PIECE_BYTES = 256 * 1024

_REQUEST = struct.Struct("!ihhih")
"""Length of what follows, kind, version, correlation id, length of the client's id (-1: none)."""

_ANSWER = struct.Struct("!ii")
"""Length of what follows, correlation id."""


class Passing(Enum):
    """What passes of those who are not ours."""

    ALL = auto()
    ALL_BUT_RECORDS = auto()
    NOTHING = auto()


class _Request(NamedTuple):
    kind: int
    correlation: int
    client: str
    head: bytes
    left_bytes: int
    wants_answer: bool


@dataclass(slots=True)
class _Line:
    """One connection.

    Attributes:
        unanswered: Correlation ids of others' records that the broker has, and has not answered.
        turn: Correlation id of records whose turn it is, until they are answered.
        broker: To there, once it is connected.
    """

    unanswered: deque[int] = field(default_factory=deque)
    turn: int | None = None
    broker: asyncio.StreamWriter | None = None

    def cut(self) -> None:
        """Ends it; what the broker has answered still reaches the client."""
        if self.broker is not None:
            self.broker.transport.abort()


class Gate:
    """Listens where clients look for the broker. Begins with letting nothing of others pass.

    Args:
        port: On loopback; the broker must tell its clients this one.
        broker_port: Where the broker listens.
        ours: Ids of our own clients.
    """

    def __init__(self, port: int, broker_port: int, ours: Collection[str]) -> None:
        self._port = port
        self._broker_port = broker_port
        self._ours = frozenset(ours)
        self._passing = Passing.NOTHING
        self._turns = Turns()
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._lines: dict[asyncio.Task[None], _Line] = {}
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begins to listen.

        Raises:
            BadSettings: The port is taken.
        """
        try:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, limit=PIECE_BYTES)
        except OSError as error:
            raise BadSettings(
                f"Port {self._port} for the broker is taken ({error.strerror}). Choose other ports with --port-base N."
            ) from None

    async def close(self) -> None:
        """Ends all connections. Safe without `open`, and twice."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await _cancel(*self._lines)

    async def hold(self, within_s: float) -> None:
        """From now on records of others wait. Returns when the broker has answered all that it has of them.

        A connection whose answer takes longer is cut: its records are not acknowledged, whatever became of them.
        """
        self._let(Passing.ALL_BUT_RECORDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._unanswered():
                    self._settled.clear()
                    await self._settled.wait()
        for line in self._unanswered():
            line.cut()

    def _unanswered(self) -> list[_Line]:
        return [line for line in self._lines.values() if line.unanswered]

    def shut(self) -> None:
        """Ends all connections. Until the release every request of others waits: for a broker that is ready."""
        self._let(Passing.NOTHING)
        for line in self._lines.values():
            line.cut()

    def release(self) -> None:
        """Everything passes again, what waited first."""
        self._let(Passing.ALL)

    def _let(self, passing: Passing) -> None:
        self._passing = passing
        self._changed.set()
        self._changed = asyncio.Event()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        line = self._lines[task] = _Line()
        try:
            with suppress(OSError, EOFError):
                await self._serve(line, reader, writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        except asyncio.CancelledError:
            # By `close`: the end of a connection, not of the program.
            writer.transport.abort()
        finally:
            del self._lines[task]
            self._turns.give(line)
            self._settled.set()

    async def _serve(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The broker is looked for only when the first request may pass: until then there may be none.
        first = await _next_request(reader)
        await self._admitted(first)
        broker, line.broker = await asyncio.open_connection("127.0.0.1", self._broker_port, limit=PIECE_BYTES)
        ways = (
            asyncio.create_task(self._requests(line, reader, line.broker, first)),
            asyncio.create_task(self._answers(line, broker, writer)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            line.cut()
            await _cancel(*ways)

    async def _requests(
        self, line: _Line, client: asyncio.StreamReader, broker: asyncio.StreamWriter, request: _Request
    ) -> None:
        while True:
            await self._admission(line, request)
            # Nothing is awaited between these two: `hold` knows of every record that has passed.
            if request.kind == PRODUCE and request.client not in self._ours:
                line.unanswered.append(request.correlation)
            await _pass_on(client, broker, request.head, request.left_bytes)
            if request.kind == PRODUCE and not request.wants_answer:
                self._turns.give(line)
            request = await _next_request(client)

    async def _answers(self, line: _Line, broker: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while True:
            head = await broker.readexactly(_ANSWER.size)
            length, correlation = _ANSWER.unpack(head)
            if correlation == line.turn:
                self._turns.give(line)
            await _pass_on(broker, client, head, length + 4 - _ANSWER.size)
            # Answers come in the order of their requests; records that want no answer are known by that of a later one.
            if correlation in line.unanswered:
                while line.unanswered.popleft() != correlation:
                    """Earlier ones."""
                self._settled.set()

    async def _admission(self, line: _Line, request: _Request) -> None:
        """Returns when it may pass; records also have their turn then."""
        while True:
            await self._admitted(request)
            if request.kind != PRODUCE:
                return
            await self._turns.take(line)
            line.turn = request.correlation
            if self._admits(request):
                return
            self._turns.give(line)

    async def _admitted(self, request: _Request) -> None:
        while not self._admits(request):
            await self._changed.wait()

    def _admits(self, request: _Request) -> bool:
        if self._passing is Passing.ALL or request.client in self._ours:
            return True
        return self._passing is Passing.ALL_BUT_RECORDS and request.kind != PRODUCE


async def _next_request(client: asyncio.StreamReader) -> _Request:
    """The head of a request, up to the client's id.

    Raises:
        EOFError: The client has gone, or speaks something else.
    """
    head = await client.readexactly(_REQUEST.size)
    length, kind, version, correlation, id_bytes = _REQUEST.unpack(head)
    name = await client.readexactly(max(0, id_bytes))
    left_bytes = length + 4 - len(head) - len(name)
    if left_bytes < 0:
        raise EOFError
    body = await client.readexactly(min(left_bytes, ACKS_BYTES)) if kind == PRODUCE else b""
    answered = kind != PRODUCE or wants_answer(version, body)
    name_text = name.decode("utf-8", "replace")
    return _Request(kind, correlation, name_text, head + name + body, left_bytes - len(body), answered)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, left_bytes: int) -> None:
    while left_bytes:
        piece = await reader.read(min(left_bytes, PIECE_BYTES))
        if not piece:
            raise EOFError
        left_bytes -= len(piece)
        writer.write(head + piece if head else piece)
        head = b""
        await writer.drain()
    if head:
        writer.write(head)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
