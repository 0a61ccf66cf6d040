"""Named random streams: arms of one seed differ only in the draws that they mean to change.

The reference code of Zhang et al. (2021) draws initial weights, data order and dropout from one
global generator. There an evaluation or a re-initialized layer shifts every later draw (protocol
section 8, P6). Here every consumer has a stream of its own, derived from ``(seed, name)`` alone.
"""

import hashlib

import numpy as np


def stream_entropy(seed: int, name: str) -> int:
    """Returns a 63-bit integer that depends on ``seed`` and ``name`` only.

    It is stable across platforms and versions.

    Args:
        seed: The run's seed (or the stream's own, if a config sets one), >= 0.
        name: The consumer of the stream.

    Raises:
        ValueError: a negative seed.
    """
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    digest = hashlib.sha256(f"stableft/{name}/{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str) -> np.random.Generator:
    """Returns an independent generator for one consumer of one seed (PCG64)."""
    return np.random.Generator(np.random.PCG64(stream_entropy(seed, name)))
