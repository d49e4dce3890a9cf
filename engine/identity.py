"""Hashes of record identities: the proof that a rollup counts each record once."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

MASK = (1 << 64) - 1
ODD = 0x9E3779B97F4A7C15
"""Odd, so that multiplication by it is a bijection modulo 2^64."""

SHIFT = 29


def base_of(source: str, boot: str) -> int:
    """Where the hashes of one boot of one source begin: an unsigned 64-bit integer."""
    encoded = source.encode("utf-8", "surrogatepass")
    digest = blake2b(len(encoded).to_bytes(4, "big") + encoded + boot.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def record_hash(source: str, boot: str, seq: int) -> int:
    """The hash of one record: an unsigned 64-bit integer.

    Two records of one boot never share it, since each step is a bijection of the sequence number; two of different
    boots do with a chance of 2^-64.
    """
    return int(record_hashes(np.array([base_of(source, boot)], np.uint64), np.array([seq], np.uint64))[0])


def record_hashes(bases: NDArray[np.uint64], seqs: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The same of many records.

    Args:
        bases: Of each, `base_of(source, boot)`.
        seqs: Of each, its sequence number.
    """
    mixed = (bases + seqs) * np.uint64(ODD)
    return mixed ^ (mixed >> np.uint64(SHIFT))
