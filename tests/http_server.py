"""HTTP servers on loopback that tests speak to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def server(
    answer: Callable[[web.Request], web.StreamResponse], read: Callable[[web.Request], Awaitable[None]] | None = None
) -> AsyncIterator[int]:
    """A real one on loopback; its port.

    Args:
        read: Given each request before it is answered.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        if read is not None:
            await read(request)
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
