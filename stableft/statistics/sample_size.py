"""Sample size: power of a comparison of two arms, and the number of seeds that it needs.

Closed forms for the paired t-test of n differences, at the level that the sign-flip test of n pairs
can attain. The p of the sign-flip test is a multiple of 2^(1 - n), so five pairs can never be
significant at 0.05. For normal differences the two tests agree closely from nine pairs on; with
fewer, the sign-flip test has up to 0.1 less power (both by simulation). For arms with collapsed
runs the closed forms are rough; `verdicts` uses the runs themselves.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from stableft.statistics.intervals import finite
from stableft.statistics.sign_flip import sign_flip_ps

MOST_SEEDS = 1_000_000
SUBSAMPLES = 200
SUBSAMPLE_FLIPS = 999


class Verdicts(NamedTuple):
    """Shares of the subsamples with the treated arm significantly better, and significantly worse."""

    better: float
    worse: float


def power(effect: float, std: float, n: int, alpha: float = 0.05) -> float:
    """Returns the probability that the two-sided test of n paired differences is significant.

    Args:
        effect: True mean difference.
        std: True standard deviation of the differences, >= 0.
        n: Number of pairs, >= 1.
        alpha: Level, in (0, 1).

    Returns:
        0 where 2^(1 - n) > alpha.

    Raises:
        ValueError: An argument outside its range.
    """
    _check(std, n, alpha)
    level = _attainable(n, alpha)
    if level == 0 or std == 0:
        return float(level > 0 and effect != 0)
    bound = scipy.stats.t.isf(level / 2, n - 1)
    shift = abs(effect) / std * math.sqrt(n)
    below, not_above = np.nan_to_num(scipy.special.nctdtr(n - 1, shift, [-bound, bound]))  # scipy returns NaN for an underflow
    return float(np.clip(1 - not_above + below, level, 1.0))


def minimum_detectable(std: float, n: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """Finds the smallest true mean difference that n pairs detect with the given power.

    Args:
        std: True standard deviation of the differences, >= 0.
        n: Number of pairs, >= 1.
        power: Wanted probability of a significant result, in (alpha, 1).
        alpha: Level, in (0, 1).

    Returns:
        Infinity where 2^(1 - n) > alpha: no difference is large enough.

    Raises:
        ValueError: An argument outside its range.
    """
    _check(std, n, alpha, power)
    if _attainable(n, alpha) == 0:
        return float("inf")
    ratio = np.asarray(scipy.optimize.brentq(lambda effect: _power(effect, 1.0, n, alpha) - power, 0.0, 100.0, xtol=1e-10))
    return float(ratio) * std


def seeds_needed(effect: float, std: float, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Finds the smallest number of pairs that detects a true mean difference with the given power.

    Args:
        effect: True mean difference.
        std: True standard deviation of the differences, >= 0.
        power: Wanted probability of a significant result, in (alpha, 1).
        alpha: Level, in (0, 1).

    Returns:
        None if the effect is 0, or if more than a million pairs are necessary.

    Raises:
        ValueError: An argument outside its range.
    """
    _check(std, 1, alpha, power)
    high = 1
    while _power(effect, std, high, alpha) < power:
        high *= 2
        if high > MOST_SEEDS:
            return None
    # Bisection: `low` pairs are too few, `high` are enough.
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(effect, std, middle, alpha) >= power else (middle, high)
    return high


def verdicts(
    difference: ArrayLike, n: int, rng: np.random.Generator, alpha: float = 0.05, subsamples: int = SUBSAMPLES
) -> Verdicts:
    """Repeats the sign-flip test on subsamples of n differences, and counts the significant results.

    For n < S, subsamples are drawn without replacement. For n = S, the only one is the whole
    sample, so the shares are 0 or 1. For n > S, they are drawn with replacement, as if the observed
    seeds were the population. From 13 seeds on, the test samples 999 sign patterns, the same for
    all subsamples.

    Args:
        difference: (S,) paired differences treated - reference, S >= 1.
        n: Seeds of a subsample, >= 1.
        rng: Source of the subsamples and of the sign patterns.
        alpha: Level, in (0, 1).
        subsamples: Number of subsamples.
    """
    d = finite(difference, "verdicts", ndim=1)
    if n < d.size:
        drawn = rng.permuted(np.tile(d, (subsamples, 1)), axis=1)[:, :n]
    else:
        drawn = d[None] if n == d.size else d[rng.integers(0, d.size, size=(subsamples, n))]
    significant = sign_flip_ps(drawn, rng, SUBSAMPLE_FLIPS) <= alpha
    sums = drawn.sum(axis=1)
    return Verdicts(float(np.mean(significant & (sums > 0))), float(np.mean(significant & (sums < 0))))


_power = power  # for functions with a parameter `power`


def _attainable(n: int, alpha: float) -> float:
    """Returns the greatest p-value of a sign-flip test of n pairs that is at most alpha."""
    if n > 60:
        return alpha
    return math.floor(alpha * 2 ** (n - 1)) / 2 ** (n - 1)


def _check(std: float, n: int, alpha: float, power: float | None = None) -> None:
    if not (0 <= std < math.inf and n >= 1 and 0 < alpha < 1):
        raise ValueError(f"power: expected std >= 0, n >= 1 and 0 < alpha < 1, got {std}, {n} and {alpha}")
    if power is not None and not alpha < power < 1:
        raise ValueError(f"power: expected a wanted power between alpha and 1, got {power}")
