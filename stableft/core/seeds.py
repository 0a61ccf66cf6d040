"""Named random streams: arms of one seed share what they do not mean to change.

The reference code of Zhang et al. (2021) draws initial weights, data order and dropout from one global generator, so that an
evaluation or a re-initialised layer shifts everything that follows (protocol section 8, P6). Here every consumer has a stream of
its own, derived from ``(seed, name)`` alone.
"""

import hashlib

import numpy as np


def stream_entropy(seed: int, name: str) -> int:
    """A 63-bit integer that depends on ``seed`` and ``name`` only; stable across platforms and versions.

    Args:
        seed: The run's seed (or the stream's own, where a config sets one), >= 0.
        name: Which consumer the stream belongs to.
    """
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    digest = hashlib.sha256(f"stableft/{name}/{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str) -> np.random.Generator:
    """An independent generator for one consumer of one seed (PCG64)."""
    return np.random.Generator(np.random.PCG64(stream_entropy(seed, name)))
