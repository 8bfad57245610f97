"""Reproducible draws: a hash of (seed, stream, key), so that no draw depends on another's order."""

from __future__ import annotations

import hashlib

import numpy as np

from sonde.datasets.arrays import Floats, Keys


def bits(seed: int, stream: str, keys: Keys) -> Keys:
    """32 random bits for each key.

    Different streams at one key, and one stream at different keys, are as good as independent.
    The mixing is the bijection `lowbias32` of C. Wellons (2018), so equal keys of one stream,
    and only they, have equal bits.

    >>> bits(1, "os", np.arange(3, dtype=np.uint32)).tolist() == [
    ...     bits(1, "os", np.array([key], dtype=np.uint32)).item() for key in range(3)
    ... ]
    True
    """
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=4).digest()
    mixed = keys ^ np.uint32(int.from_bytes(digest, "big"))
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x7FEB352D)
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(0x846CA68B)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def uniform(drawn: Keys) -> Floats:
    """Numbers in (0, 1) from 32 bits each."""
    return _centre(drawn, 32)


def upper(drawn: Keys) -> Floats:
    """Numbers in (0, 1) from the upper 16 bits: coarse, and independent of `lower`."""
    return _centre(drawn >> np.uint32(16), 16)


def lower(drawn: Keys) -> Floats:
    """Numbers in (0, 1) from the lower 16 bits: coarse, and independent of `upper`."""
    return _centre(drawn & np.uint32(0xFFFF), 16)


def logit(probability: Floats) -> Floats:
    """The quantile function of the standard logistic distribution."""
    return np.log(probability / (1.0 - probability))


def _centre(drawn: Keys, width: int) -> Floats:
    return (drawn.astype(np.float64) + 0.5) / 2.0**width
