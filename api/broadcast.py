"""Events for many clients: nobody waits for a slow one, and nobody misses anything without being told.

No I/O and no clock in here.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

RECENT = 2_000
"""So many events are kept for clients that come back."""

WAITING = 256
"""So many may wait for one client; then they are dropped, and it is told how many."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        number: Counts up by one with each event.
        kind: `alert`, `progress`, `samples`, or of a single client `reset` and `skipped`.
        data: JSON.
        about: What clients choose by.
    """

    number: int
    kind: str
    data: str
    about: object = None


Wants = Callable[[Event], bool]


@dataclass(slots=True, eq=False)
class Client:
    """Somebody who listens.

    Attributes:
        wants: Chooses events.
        wake: Called when something waits.
    """

    wants: Wants
    wake: Callable[[], None]
    waiting: deque[Event] = field(default_factory=deque)
    skipped: int = 0

    def offer(self, event: Event) -> None:
        """An event, if it is wanted. Where too many wait they are all dropped: what they say can be asked for."""
        if not self.wants(event):
            return
        if len(self.waiting) >= WAITING:
            self.skipped += len(self.waiting)
            self.waiting.clear()
        self.waiting.append(event)
        self.wake()

    def take(self) -> Iterator[Event]:
        """What waits, in order, after word of what was dropped."""
        if self.skipped and self.waiting:
            number = self.waiting[0].number - 1
            yield Event(number, "skipped", f'{{"events":{self.skipped}}}')
            self.skipped = 0
        while self.waiting:
            yield self.waiting.popleft()


@dataclass(slots=True)
class Broadcast:
    """The clients, and what was told of late."""

    clients: set[Client] = field(default_factory=set)
    recent: deque[Event] = field(default_factory=lambda: deque(maxlen=RECENT))
    number: int = 0

    def tell(self, kind: str, data: str, about: object = None, *, keep: bool = True) -> None:
        """Tells all clients.

        Args:
            keep: Whether clients that come back are told too.
        """
        self.number += 1
        event = Event(self.number, kind, data, about)
        if keep:
            self.recent.append(event)
        for client in self.clients:
            client.offer(event)

    def join(self, client: Client, after: int | None) -> None:
        """Lets a client in.

        Args:
            after: Number of the last event that it has; None: it has none, and begins now.
        """
        self.clients.add(client)
        if after is None:
            return
        oldest = self.recent[0].number if self.recent else self.number + 1
        if after > self.number or (after + 1 < oldest and len(self.recent) == self.recent.maxlen):
            client.waiting.append(Event(self.number, "reset", "{}"))
            client.wake()
            return
        missed = sum(one.number > after for one in self.recent)
        for event in islice(self.recent, len(self.recent) - missed, None):
            client.offer(event)

    def leave(self, client: Client) -> None:
        """Lets a client go. Safe twice."""
        self.clients.discard(client)
