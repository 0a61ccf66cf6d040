"""Multi-bootstrap: two sources of randomness at once, the seeds and the test items."""

import numpy as np
from numpy.typing import ArrayLike

from stableft.statistics.intervals import BATCH, CONFIDENCE, Interval, bootstrap_weights, ends, finite

RESAMPLES = 1_000


def multi_bootstrap(
    treated: ArrayLike,
    reference: ArrayLike,
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Computes an interval of the mean difference of two arms, for new seeds and new test items.

    This is the multi-bootstrap of Sellam et al. (2022). Seeds and items are resampled
    independently, each with replacement, and alike for both arms: the source's design of paired
    seeds. An interval over seeds alone holds only for the given test items, and all runs share the
    luck of their selection.

    Args:
        treated: (S, I) score of each run on each item, such as 1 for a right answer and 0 for a
            wrong one; the score of a run is their mean.
        reference: (S, I) of the same seeds and items in the same order.
        rng: Source of the resamples.
        confidence: Coverage of the percentile interval, in (0, 1).
        resamples: Number of bootstrap samples.

    Returns:
        NaN, NaN for S = 1.

    Raises:
        ValueError: The arrays have different shapes, or as `finite`.
    """
    t, r = (finite(scores, "multi_bootstrap", ndim=2) for scores in (treated, reference))
    if t.shape != r.shape:
        raise ValueError(f"multi_bootstrap: scores of shapes {t.shape} and {r.shape} cannot be paired")
    seeds, items = t.shape
    if seeds == 1:
        return Interval(float("nan"), float("nan"))
    difference = t - r
    # Per resample: a weighted mean over seeds gives one value per item; then items are resampled.
    means = []
    for start in range(0, resamples, batch := max(1, BATCH // items)):
        part = min(batch, resamples - start)
        of_items = bootstrap_weights(seeds, part, rng) @ difference
        means.append(np.take_along_axis(of_items, rng.integers(0, items, size=(part, items)), axis=1).mean(axis=1))
    low, high = np.quantile(np.concatenate(means), ends(confidence))
    return Interval(float(low), float(high))
