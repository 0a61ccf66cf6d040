"""Intervals of a mean, of a share and of a mean curve; and what all estimates share."""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLING_SEED = 0  # every figure and table seeds its generator with this, so the same runs give the same numbers
CONFIDENCE = 0.95
MEAN_RESAMPLES = 9_999
CURVE_RESAMPLES = 2_000
BATCH = 2_000_000  # numbers that are drawn at a time

Vector = NDArray[np.float64]


class Interval(NamedTuple):
    """A two-sided interval; both ends are NaN where the data cannot determine one (a single seed)."""

    low: float
    high: float


def resampling() -> np.random.Generator:
    """The generator that each number of a figure, table or claim starts from: the same resamples, whatever stands beside it."""
    return np.random.default_rng(RESAMPLING_SEED)


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
    x = finite(scores, "mean_interval", ndim=1)
    if x.size == 1:
        return Interval(float("nan"), float("nan"))
    if np.ptp(x) == 0:
        return Interval(float(x[0]), float(x[0]))
    batch = max(1, BATCH // x.size)
    ends = stats.bootstrap(
        (x,), np.mean, confidence_level=confidence, n_resamples=resamples, batch=batch, method="BCa", rng=rng
    ).confidence_interval
    return Interval(float(ends.low), float(ends.high))


def wilson_interval(share: float, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's (1927) interval of a rate, which stays informative at 0 of n and n of n.

    Args:
        share: Observed share, in [0, 1].
        n: Of how many, >= 1.
        confidence: Coverage, in (0, 1).
    """
    z = stats.norm.ppf((1 + confidence) / 2)
    centre, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return Interval(float(max(low, 0.0)), float(min(high, 1.0)))


def curve_interval(
    curves: ArrayLike, rng: np.random.Generator | None = None, confidence: float = CONFIDENCE, resamples: int = CURVE_RESAMPLES
) -> tuple[Vector, Vector]:
    """Pointwise percentile bootstrap interval of the mean curve; whole curves are resampled, as a seed is one unit.

    Args:
        curves: (S, P), one row per seed. S = 1 determines no interval: all NaN.
        rng: Source of the resamples; None: a new `resampling`, whose resamples for S seeds are drawn once.
        confidence: Coverage at each point, in (0, 1); not of the curve as a whole.
        resamples: Number of bootstrap samples R; R x P numbers are held.

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
    """(R, n) the share of each resample that each of n units has: a bootstrap mean is a mean with these weights."""
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n


@functools.lru_cache(maxsize=1)
def _first_weights(n: int, resamples: int) -> Vector:
    """The first that a new `resampling` gives: arms of equally many seeds have the same, and thousands of seeds take a second."""
    return bootstrap_weights(n, resamples, resampling())


def ends(confidence: float) -> tuple[float, float]:
    """The quantiles at which a percentile interval ends."""
    return (1 - confidence) / 2, (1 + confidence) / 2


def finite(values: ArrayLike, caller: str, ndim: int) -> Vector:
    """The values as floats.

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
    """(S,) the values as booleans.

    Raises:
        ValueError: Empty, another number of dimensions, or not booleans.
    """
    array = finite(values, caller, ndim=1)
    if not np.isin(array, (0.0, 1.0)).all():
        raise ValueError(f"{caller}: expected booleans")
    return array.astype(bool)


def paired(treated: ArrayLike, reference: ArrayLike, caller: str) -> tuple[Vector, Vector]:
    """(S,) and (S,) the scores of two arms at the same seeds, in the same order.

    Raises:
        ValueError: As `finite`, or of different lengths.
    """
    t, r = finite(treated, caller, ndim=1), finite(reference, caller, ndim=1)
    if t.shape != r.shape:
        raise ValueError(f"{caller}: {t.size} treated and {r.size} reference scores cannot be paired")
    return t, r
