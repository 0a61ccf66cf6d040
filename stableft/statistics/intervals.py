"""Intervals of a mean, a rate and a mean curve; argument checks that all estimates share."""

import functools
import math
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

RESAMPLING_SEED = 0  # of every figure, table and claim, so that the same runs give the same numbers
CONFIDENCE = 0.95
MEAN_RESAMPLES = 9_999
CURVE_RESAMPLES = 2_000
EXACT_BITS = 53  # of a whole number in a float
BATCH = 2_000_000  # random numbers drawn at a time, which limits memory

Vector = NDArray[np.float64]


class Interval(NamedTuple):
    """A two-sided interval; both ends are NaN if the data cannot determine it (a single seed)."""

    low: float
    high: float


def resampling() -> np.random.Generator:
    """Returns a new generator for the resamples of one number in a figure, table or claim.

    Its seed is always the same, so no number depends on those computed before it.
    """
    return np.random.default_rng(RESAMPLING_SEED)


def mean_interval(
    scores: ArrayLike, rng: np.random.Generator, confidence: float = CONFIDENCE, resamples: int = MEAN_RESAMPLES
) -> Interval:
    """Computes the BCa bootstrap interval of the mean (Efron 1987).

    It allows for the skew due to collapsed runs.

    Args:
        scores: (S,) one per seed. S = 1 determines no interval (NaN, NaN); all equal gives (x, x).
        rng: Source of the resamples.
        confidence: Coverage, in (0, 1).
        resamples: Number of bootstrap samples.
    """
    x = finite(scores, "mean_interval", ndim=1)
    if x.size == 1:
        return Interval(float("nan"), float("nan"))
    if np.ptp(x) == 0:
        return Interval(float(x[0]), float(x[0]))
    # BCa counts the resamples with a mean below that of the sample, or equal to it. Rounding errors,
    # which depend on the order of a sum, would decide that. Multiples of a unit add up without any.
    unit = 2.0 ** (np.frexp(np.abs(x).max())[1] + math.ceil(math.log2(x.size)) - EXACT_BITS)
    batch = max(1, BATCH // x.size)
    ends = scipy.stats.bootstrap(
        (np.rint(x / unit),), np.mean, confidence_level=confidence, n_resamples=resamples, batch=batch, method="BCa", rng=rng
    ).confidence_interval
    return Interval(float(ends.low) * unit, float(ends.high) * unit)


def wilson_interval(share: float, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Computes Wilson's (1927) interval of a rate; it stays informative at 0 of n and n of n.

    Args:
        share: Observed share, in [0, 1].
        n: Number of observations, >= 1.
        confidence: Coverage, in (0, 1).
    """
    z = scipy.stats.norm.ppf((1 + confidence) / 2)
    centre, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return Interval(float(max(low, 0.0)), float(min(high, 1.0)))


def curve_interval(
    curves: ArrayLike, rng: np.random.Generator | None = None, confidence: float = CONFIDENCE, resamples: int = CURVE_RESAMPLES
) -> tuple[Vector, Vector]:
    """Computes the pointwise percentile bootstrap interval of the mean curve.

    Whole curves are resampled, because a seed is one unit.

    Args:
        curves: (S, P), one row per seed. S = 1 determines no interval: all NaN.
        rng: Source of the resamples. None: a new `resampling`; its resamples for S seeds are drawn
            once and cached.
        confidence: Coverage at each point, in (0, 1); not of the curve as a whole.
        resamples: Number of bootstrap samples R; R x P numbers are held in memory.

    Returns:
        ``low`` and ``high``, each (P,).
    """
    x = finite(curves, "curve_interval", ndim=2)
    seeds, points = x.shape
    if seeds == 1:
        return np.full(points, np.nan), np.full(points, np.nan)
    weights = _first_weights(seeds, resamples) if rng is None else bootstrap_weights(seeds, resamples, rng)
    low, high = np.quantile(weights @ x, ends(confidence), axis=0)
    return low, high


def bootstrap_weights(n: int, resamples: int, rng: np.random.Generator) -> Vector:
    """Draws (R, n) weights: the share of each of n units in each resample.

    A bootstrap mean is a mean with these weights.
    """
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n


@functools.lru_cache(maxsize=1)
def _first_weights(n: int, resamples: int) -> Vector:
    """Returns the first weights of a new `resampling`.

    They are cached: arms with equally many seeds share them, and thousands of seeds take a second.
    """
    return bootstrap_weights(n, resamples, resampling())


def ends(confidence: float) -> tuple[float, float]:
    """Returns the two quantiles at the ends of a percentile interval."""
    return (1 - confidence) / 2, (1 + confidence) / 2


def finite(values: ArrayLike, caller: str, ndim: int) -> Vector:
    """Converts the values to floats, after checking them.

    Raises:
        ValueError: Empty, another number of dimensions, or not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or array.size == 0:
        raise ValueError(f"{caller}: expected a non-empty array of {ndim} dimension(s), got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{caller}: NaN or infinite values; decide what a diverged run counts as before calling")
    return array


def flags(values: ArrayLike, caller: str) -> NDArray[np.bool_]:
    """Converts the values to (S,) booleans, after checking them.

    Raises:
        ValueError: Empty, another number of dimensions, or not booleans.
    """
    array = finite(values, caller, ndim=1)
    if not np.isin(array, (0.0, 1.0)).all():
        raise ValueError(f"{caller}: expected booleans")
    return array.astype(bool)


def paired(treated: ArrayLike, reference: ArrayLike, caller: str) -> tuple[Vector, Vector]:
    """Checks the scores of two arms at the same seeds, in the same order; returns both as (S,) floats.

    Raises:
        ValueError: As `finite`, or of different lengths.
    """
    t, r = finite(treated, caller, ndim=1), finite(reference, caller, ndim=1)
    if t.shape != r.shape:
        raise ValueError(f"{caller}: {t.size} treated and {r.size} reference scores cannot be paired")
    return t, r
