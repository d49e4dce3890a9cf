"""One request with records at a time: the broker shows a record before those that stand before it.

Tansu gives two requests that come together their offsets, and may show readers what came second first. A reader goes
on behind it then, and never sees the other (`docs/embedded.md`). So the next request waits until the one before is
answered.
"""

import asyncio
import struct
from contextlib import suppress

TURN_S = 5.0
"""A client that stalls in the middle of its request, or a broker that owes an answer, holds the others up no longer."""

ACKS_BYTES = 64
"""So far into a request stands whether it wants an answer: behind the id of a transaction, short or missing."""

_FLEXIBLE, _TRANSACTIONAL = 9, 3
"""Versions of produce requests from which on strings are compact, and a transaction's id is there."""


class Turns:
    """Whose turn it is. Holders are told apart by what they are."""

    def __init__(self) -> None:
        self._taken = asyncio.Lock()
        self._holder: object = None

    async def take(self, holder: object) -> None:
        """Waits for the turn; in the worst case `TURN_S`, and then takes it from who has it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TURN_S):
                await self._taken.acquire()
        self._holder = holder

    def give(self, holder: object) -> None:
        """The next one's turn, if it is still this one's."""
        if self._holder is holder and self._taken.locked():
            self._holder = None
            self._taken.release()


def wants_answer(version: int, body: bytes) -> bool:
    """Whether a produce request does.

    Args:
        body: What stands behind the client's id, `ACKS_BYTES` of it or all.
    """
    at = 0
    if version >= _FLEXIBLE:
        # No tags, and the length plus one in a byte; 0: none.
        at = 2 + max(0, body[1] - 1) if len(body) > 1 else 0
    elif version >= _TRANSACTIONAL:
        (length,) = struct.unpack_from("!h", body) if len(body) > 1 else (0,)
        at = 2 + max(0, length)
    return len(body) < at + 2 or struct.unpack_from("!h", body, at) != (0,)
