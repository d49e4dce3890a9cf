"""What the program needs of a service that it embeds; replaced by the address of a real server in production."""

from typing import Protocol


class Service(Protocol):
    """A broker or a database on this machine."""

    name: str

    @property
    def address(self) -> str:
        """Host and port."""

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""

    def start(self) -> None:
        """Returns when it answers.

        Raises:
            BadSettings: With the remedy, when it cannot run here.
            TransientError: When it did not answer in time.
        """

    def stop(self, within_s: float) -> None:
        """Ends it in order, by force when it takes longer. Safe without start, and twice."""
