"""Almost stochastic order: is one arm better at nearly every quantile, not only on average?"""

import numpy as np
import scipy
from numpy.typing import ArrayLike

from stableft.statistics.intervals import CONFIDENCE, Vector, paired

RESAMPLES = 1_000


def violation_ratio(treated: ArrayLike, reference: ArrayLike) -> float:
    """Measures the violation of stochastic order (del Barrio et al., 2018).

    The order holds if the treated arm is at least as good at every quantile. The ratio is the share
    of the squared distance between both quantile functions at which the reference is better. It is
    0 if the treated arm is as good at every quantile, 1 if the reference is, and 0.5 for arms of
    equal scores.

    Args:
        treated: (S,) scores, S >= 1.
        reference: (S,) scores.
    """
    t, r = paired(treated, reference, "violation_ratio")
    return float(_ratios(t[None], r[None])[0])


def almost_stochastic_order(
    treated: ArrayLike,
    reference: ArrayLike,
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> float:
    """Computes the epsilon of Dror et al. (2019): a one-sided upper bound of `violation_ratio`.

    Below 0.5 the treated arm is almost stochastically dominant at that confidence; Ulmer et al.
    (2022) recommend a threshold of 0.2. The source resamples each arm independently; our arms share
    their seeds, so seeds are resampled. Quantile functions of S scores are steps, so their distance
    is an exact sum.

    Args:
        treated: (S,) scores, S >= 1.
        reference: (S,) scores of the same seeds in the same order.
        rng: Source of the resamples.
        confidence: Coverage of the bound, in (0, 1).
        resamples: Number of bootstrap samples.

    Returns:
        Epsilon in [0, 1]; NaN for S = 1.
    """
    t, r = paired(treated, reference, "almost_stochastic_order")
    if t.size == 1:
        return float("nan")
    drawn = rng.integers(0, t.size, size=(resamples, t.size))
    spread = _ratios(t[drawn], r[drawn]).std()
    return float(np.clip(violation_ratio(t, r) + spread * scipy.stats.norm.ppf(confidence), 0, 1))


def _ratios(t: Vector, r: Vector) -> Vector:
    """Computes the (B,) `violation_ratio` of each of B samples (B, S) of both arms."""
    ahead = np.sort(t, axis=1) - np.sort(r, axis=1)
    whole = (ahead**2).sum(axis=1)
    behind = (np.minimum(ahead, 0) ** 2).sum(axis=1)
    return np.divide(behind, whole, out=np.full(len(whole), 0.5), where=whole > 0)
