"""Which records occurred lately, so that a repeat is known."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from engine.identity import ODD, SHIFT
from engine.rows import Hashes, Ints

_NEVER = -1


def record_hashes(bases: Hashes, seqs: Hashes) -> Hashes:
    """`record_hash` of many records.

    Args:
        bases: Of each, `base_of(source, boot)`.
        seqs: Of each, its sequence number.
    """
    mixed = (bases + seqs) * np.uint64(ODD)
    return mixed ^ (mixed >> np.uint64(SHIFT))


class Occurrences:
    """Record ids that occurred in this and the previous D segments, counted or not.

    A boot numbers its records in the order in which it sends them. While its numbers rise, none of its records can be a
    repeat, and their hashes are only put down. The hashes of a boot whose numbers once did not rise are kept in sets.

    Args:
        horizon: D.
    """

    def __init__(self, horizon: int) -> None:
        self._logs: deque[list[tuple[Ints, Hashes]]] = deque([[]], maxlen=horizon + 1)
        """Of each segment the boots and hashes of boots in order, the present one last."""
        self._sets: deque[set[int]] = deque([set()], maxlen=horizon + 1)
        self._newest: Ints = np.zeros(0, np.int64)
        self._apart: NDArray[np.bool_] = np.zeros(0, np.bool_)
        """By boot: the number of its newest record, and whether its hashes are kept in sets."""
        self._settled = False

    def admit(self, boots: Ints, seqs: Ints, hashes: Hashes) -> Ints:
        """Positions of the records that are new, each the first time that it stands there; all of them now occurred.

        Args:
            boots: Of each record, the number of its (source, boot); small, and never reused before `settle`.
            seqs: Of each, its sequence number.
            hashes: Of each, the hash of its id.
        """
        self._grow(int(boots.max(initial=_NEVER)) + 1)
        out_of_order = self._out_of_order(boots, seqs)
        if len(out_of_order):
            self._apart[out_of_order] = True
            self._into_sets()
        apart = self._apart[boots]
        if not apart.any():
            self._put_down(boots, seqs, hashes)
            return np.arange(len(boots))
        self._put_down(boots[~apart], seqs[~apart], hashes[~apart])
        positions = np.flatnonzero(~apart).tolist()
        for position in np.flatnonzero(apart).tolist():
            hashed = int(hashes[position])
            if not any(hashed in known for known in self._sets):
                positions.append(position)
            self._sets[-1].add(hashed)
        return np.array(sorted(positions), np.int64)

    def _out_of_order(self, boots: Ints, seqs: Ints) -> Ints:
        """Boots in order until now, of which a number is not above the one before."""
        order = np.argsort(boots, kind="stable")
        boots, seqs = boots[order], seqs[order]
        before = self._newest[boots]
        again = np.flatnonzero(boots[1:] == boots[:-1]) + 1
        before[again] = seqs[again - 1]
        return np.unique(boots[(seqs <= before) & ~self._apart[boots]])

    def _put_down(self, boots: Ints, seqs: Ints, hashes: Hashes) -> None:
        self._logs[-1].append((boots, hashes))
        # Of a boot that stands there more than once, the last assignment holds.
        self._newest[boots] = seqs

    def _grow(self, count: int) -> None:
        new = max(0, count - len(self._newest))
        if new:
            self._newest = np.concatenate([self._newest, np.full(new + count, _NEVER)])
            self._apart = np.concatenate([self._apart, np.full(new + count, self._settled)])

    def _into_sets(self) -> None:
        """Moves the hashes of boots that are kept apart now."""
        for log, known in zip(self._logs, self._sets, strict=True):
            for index, (boots, hashes) in enumerate(log):
                apart = self._apart[boots]
                if apart.any():
                    known.update(hashes[apart].tolist())
                    log[index] = boots[~apart], hashes[~apart]

    def settle(self) -> None:
        """The numbers of boots are about to be given anew: from now on all hashes are kept in sets."""
        self._apart[:] = True
        self._into_sets()
        self._newest, self._apart, self._settled = np.zeros(0, np.int64), np.zeros(0, np.bool_), True

    def cut(self) -> None:
        """A new segment begins."""
        self._logs.append([])
        self._sets.append(set())
