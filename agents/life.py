"""What a worker does around its app."""

from typing import Protocol


class Life(Protocol):
    """What the worker does around the app's own life."""

    async def opening(self) -> None:
        """Runs in the worker's loop before the app starts. An exception ends the process."""

    async def draining(self) -> None:
        """Runs at SIGINT and SIGTERM while everything still works. It ends in bounded time."""

    async def closing(self) -> None:
        """Runs when the app has stopped."""
