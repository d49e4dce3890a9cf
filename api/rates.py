"""How much each key may send: token buckets."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Rates:
    """A bucket for each key, which fills at a rate and holds a few seconds of it.

    Attributes:
        per_s: Records that a key may send each second, for as long as it likes; 0: any number.
        burst_s: So many seconds of it may come at once.
    """

    per_s: float
    burst_s: float = 5.0
    _left: dict[str, tuple[float, int]] = field(default_factory=dict)

    def wait_s(self, key: str, count: int, at_ms: int) -> float:
        """0, and so many are taken from the bucket; or how long to wait until there will be so many."""
        if not self.per_s:
            return 0.0
        most = max(self.per_s * self.burst_s, float(count))
        left, since_ms = self._left.get(key, (most, at_ms))
        left = min(most, left + max(0, at_ms - since_ms) / 1000 * self.per_s)
        if left < count:
            self._left[key] = (left, at_ms)
            return (count - left) / self.per_s
        self._left[key] = (left - count, at_ms)
        return 0.0
