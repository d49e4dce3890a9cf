"""Hashes of record identities: the proof that a rollup counts each record once."""

from hashlib import blake2b

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
    mixed = (base_of(source, boot) + seq) * ODD & MASK
    return mixed ^ (mixed >> SHIFT)
