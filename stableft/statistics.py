"""Estimates over seeds: summaries, failed runs, intervals, paired differences. Pure functions of arrays.

The unit of replication is the seed: one value per run, never one per step or example. Every random choice comes from the generator
that is passed in. NaN is refused everywhere: a diverged run is data, so the caller decides what it counts as and says so.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLING_SEED = 0  # every figure and table seeds its generator with this, so the same runs give the same numbers
CONFIDENCE = 0.95
MEAN_RESAMPLES = 9_999
CURVE_RESAMPLES = 2_000
EXACT_FLIPS = 4_096  # up to here all 2^n sign patterns are enumerated
SAMPLED_FLIPS = 9_999

Vector = NDArray[np.float64]


class Interval(NamedTuple):
    """A two-sided interval; both ends are NaN where the data cannot determine one (a single seed)."""

    low: float
    high: float


class Summary(NamedTuple):
    """What a table row says about the scores of one arm; ``std`` has n - 1 and is NaN for n = 1."""

    n: int
    mean: float
    std: float
    median: float
    min: float
    max: float


class FailedRuns(NamedTuple):
    """How many runs failed, with a Wilson interval of the rate."""

    failed: int
    n: int
    low: float
    high: float


class PairedDifference(NamedTuple):
    """Mean of ``treated - reference`` over n shared seeds, its interval and the two-sided sign-flip p-value."""

    n: int
    mean: float
    low: float
    high: float
    p: float


def summary(scores: ArrayLike) -> Summary:
    """Describes the scores of one arm.

    Args:
        scores: (S,) one per seed, S >= 1.
    """
    x = _finite(scores, "summary", ndim=1)
    std = float(x.std(ddof=1)) if x.size > 1 else float("nan")
    return Summary(x.size, float(x.mean()), std, float(np.median(x)), float(x.min()), float(x.max()))


def failed_runs(failed: ArrayLike, confidence: float = CONFIDENCE) -> FailedRuns:
    """Counts failed runs; the Wilson (1927) interval of the rate stays informative at 0 of n and n of n.

    Args:
        failed: (S,) booleans, S >= 1; failed in the sense of Mosbach et al. (2021), section 3.2.
        confidence: Coverage, in (0, 1).
    """
    flags = _finite(failed, "failed_runs", ndim=1)
    if not np.isin(flags, (0.0, 1.0)).all():
        raise ValueError("failed_runs: expected booleans")
    count = int(flags.sum())
    ends = stats.binomtest(count, flags.size).proportion_ci(confidence, method="wilson")
    return FailedRuns(count, flags.size, float(ends.low), float(ends.high))


def mean_interval(
    scores: ArrayLike, rng: np.random.Generator, confidence: float = CONFIDENCE, resamples: int = MEAN_RESAMPLES
) -> Interval:
    """BCa bootstrap interval of the mean (Efron 1987), which follows the skew that collapsed runs bring.

    Args:
        scores: (S,) one per seed. S = 1 determines no interval (NaN, NaN); all equal gives (x, x).
        rng: Source of the resamples.
        confidence: Coverage, in (0, 1).
        resamples: Number of bootstrap samples.
    """
    x = _finite(scores, "mean_interval", ndim=1)
    if x.size == 1:
        return Interval(float("nan"), float("nan"))
    if np.ptp(x) == 0:
        return Interval(float(x[0]), float(x[0]))
    ends = stats.bootstrap(
        (x,), np.mean, confidence_level=confidence, n_resamples=resamples, method="BCa", rng=rng
    ).confidence_interval
    return Interval(float(ends.low), float(ends.high))


def paired_difference(
    treated: ArrayLike, reference: ArrayLike, rng: np.random.Generator, confidence: float = CONFIDENCE
) -> PairedDifference:
    """Compares two arms seed by seed, which removes what the shared seed does to both.

    Args:
        treated: (S,) scores, S >= 1.
        reference: (S,) scores of the same seeds in the same order.
        rng: Source of the resamples and, for large S, of the sign flips.
        confidence: Coverage of the BCa interval, in (0, 1).
    """
    t, r = _finite(treated, "paired_difference", ndim=1), _finite(reference, "paired_difference", ndim=1)
    if t.shape != r.shape:
        raise ValueError(f"paired_difference: {t.size} treated and {r.size} reference scores cannot be paired")
    difference = t - r
    low, high = mean_interval(difference, rng, confidence)
    return PairedDifference(t.size, float(difference.mean()), low, high, sign_flip_p(difference, rng))


def sign_flip_p(difference: ArrayLike, rng: np.random.Generator) -> float:
    """Two-sided sign-flip permutation test of "the difference is symmetric about zero" (Fisher 1935).

    Exact, over all 2^S sign patterns, up to 4,096 patterns (S <= 12); beyond, 9,999 sampled patterns and the observed one, so that
    p is never zero.

    Args:
        difference: (S,) paired differences, S >= 1.
        rng: Source of the sampled patterns; untouched when the test is exact.

    Returns:
        p in (0, 1].
    """
    d = _finite(difference, "sign_flip_p", ndim=1)
    exact = 2**d.size <= EXACT_FLIPS
    bits = (np.arange(2**d.size)[:, None] >> np.arange(d.size)) & 1 if exact else rng.integers(0, 2, size=(SAMPLED_FLIPS, d.size))
    flipped = np.abs((1 - 2 * bits) @ d)
    # Sums of the same numbers in another order differ in the last bits; without the slack, ties would count as smaller.
    as_extreme = int((flipped >= abs(d.sum()) - 1e-9 * np.abs(d).sum()).sum())
    return as_extreme / len(bits) if exact else (1 + as_extreme) / (1 + len(bits))


def curve_interval(
    curves: ArrayLike, rng: np.random.Generator, confidence: float = CONFIDENCE, resamples: int = CURVE_RESAMPLES
) -> tuple[Vector, Vector]:
    """Pointwise percentile bootstrap interval of the mean curve; whole curves are resampled, as a seed is one unit.

    Args:
        curves: (S, P), one row per seed. S = 1 determines no interval: all NaN.
        rng: Source of the resamples.
        confidence: Coverage at each point, in (0, 1); not of the curve as a whole.
        resamples: Number of bootstrap samples R; R x P numbers are held.

    Returns:
        ``low`` and ``high``, each (P,).
    """
    x = _finite(curves, "curve_interval", ndim=2)
    seeds, points = x.shape
    if seeds == 1:
        return np.full(points, np.nan), np.full(points, np.nan)
    # A bootstrap mean is the mean weighted by how often each seed was drawn.
    weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    low, high = np.quantile(weights @ x, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def _finite(values: ArrayLike, caller: str, ndim: int) -> Vector:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or array.size == 0:
        raise ValueError(f"{caller}: expected a non-empty array of {ndim} dimension(s), got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{caller}: NaN or infinite values; decide what a diverged run counts as before calling")
    return array
