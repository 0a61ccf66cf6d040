"""Sign-flip permutation test and Wilcoxon signed-rank test of paired differences."""

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from stableft.statistics.intervals import BATCH, Vector, finite

EXACT_FLIPS = 4_096  # up to this number, all 2^n sign patterns are enumerated
SAMPLED_FLIPS = 9_999


def sign_flip_p(difference: ArrayLike, rng: np.random.Generator) -> float:
    """Computes the p-value of the two-sided sign-flip permutation test (Fisher 1935).

    The hypothesis is "the difference is symmetric about zero". Up to 4,096 sign patterns (S <= 12)
    the test is exact, over all 2^S of them. Beyond, it counts 9,999 sampled patterns and the
    observed one, so p is never zero. The exact p is at least 2^(1 - S).

    Args:
        difference: (S,) paired differences, S >= 1.
        rng: Source of the sampled patterns; unused if the test is exact.

    Returns:
        p in (0, 1].
    """
    d = finite(difference, "sign_flip_p", ndim=1)
    return float(sign_flip_ps(d[None], rng)[0])


def sign_flip_ps(differences: ArrayLike, rng: np.random.Generator, flips: int = SAMPLED_FLIPS) -> Vector:
    """Computes the (B,) `sign_flip_p` of each of B samples, with the same sampled patterns for all.

    Args:
        differences: (B, S), one sample of paired differences per row.
        rng: Source of the sampled patterns; unused if the test is exact.
        flips: Number of sampled patterns.
    """
    d = finite(differences, "sign_flip_ps", ndim=2)
    n = d.shape[1]
    if 2**n <= EXACT_FLIPS:
        return _exact_flip_ps(d)
    # In batches, which draw the same patterns: thousands of differences would take gigabytes.
    batch = max(1, BATCH // n)
    counts = [_as_extreme(d, rng.integers(0, 2, size=(min(batch, flips - start), n))) for start in range(0, flips, batch)]
    return (1 + np.sum(counts, axis=0)) / (1 + flips)


def wilcoxon_p(difference: ArrayLike) -> float:
    """Computes the p-value of the two-sided signed-rank test (Wilcoxon 1945).

    The hypothesis is "the difference is symmetric about zero". The test uses ranks, so outliers
    count little. Zeros are left out, as by Wilcoxon; p is 1 if nothing is left. The test is exact
    up to 12 differences, and without ties up to 50; otherwise it is the normal approximation.

    Args:
        difference: (S,) paired differences, S >= 1.
    """
    d = finite(difference, "wilcoxon_p", ndim=1)
    d = d[d != 0]
    if d.size == 0:
        return 1.0
    size = np.abs(d)
    if 2**d.size <= EXACT_FLIPS:
        return float(_exact_flip_ps(np.sign(d) * scipy.stats.rankdata(size)[None])[0])
    exact = d.size <= 50 and np.unique(size).size == d.size
    return float(np.asarray(scipy.stats.wilcoxon(d, method="exact" if exact else "asymptotic"))[1])


def _exact_flip_ps(d: Vector) -> Vector:
    """Computes the (B,) p-values of `sign_flip_ps` over all patterns."""
    patterns = 2 ** d.shape[1]
    return _as_extreme(d, (np.arange(patterns)[:, None] >> np.arange(d.shape[1])) & 1) / patterns


def _as_extreme(d: Vector, bits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts for each of B samples (B, S) the sign patterns with at least as extreme a sum: (B,)."""
    flipped = np.abs((1 - 2 * bits) @ d.T)
    # Sums of the same numbers in another order differ in the last bits. Without the tolerance,
    # ties would count as less extreme.
    return (flipped >= np.abs(d.sum(axis=1)) - 1e-9 * np.abs(d).sum(axis=1)).sum(axis=0)
