"""What the notifier needs of a receiver."""

from typing import Protocol

from schemas.notifications import Notice


class Receiver(Protocol):
    """One way to one place. Several notices may be under way to it at once."""

    @property
    def name(self) -> str:
        """As routes name it."""

    async def deliver(self, notice: Notice) -> None:
        """Returns when the other side has taken the notice.

        The notifier calls it again, with the same notice, after a transient error and after a crash.

        Raises:
            TransientError: It may work later; `retry_after_s` says when.
            PermanentError: The other side refuses this notice, or the settings are wrong: the fallback is told instead.
        """

    async def close(self) -> None:
        """Lets go of connections."""
