"""Agreement of predictions: a kind of instability that scores do not show (Du and Nguyen, 2023).

Two runs of equal accuracy may err on different items. Each measure, of S runs on I items, is a mean
over all pairs of runs or a function of such a mean. It is computed without storing the pairs.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stableft.statistics.intervals import finite

BLOCK = 100_000  # probabilities in one block of items, small enough for the processor's cache


class Agreement(NamedTuple):
    """Mean share of items on which two runs differ, in [0, 1], and Fleiss' kappa.

    Kappa is 1 for full agreement and 0 for that of chance.
    """

    disagreement: float
    kappa: float


def agreement(predictions: ArrayLike) -> Agreement:
    """Computes the pairwise disagreement and Fleiss' (1971) kappa of predicted classes.

    Args:
        predictions: (S, I) class of each run for each item, whole numbers.

    Returns:
        Both NaN for S = 1; kappa is NaN also if all runs predict the same class for every item.
    """
    classes = finite(predictions, "agreement", ndim=2)
    runs, items = classes.shape
    if runs == 1:
        return Agreement(float("nan"), float("nan"))
    votes = np.stack([(classes == label).sum(axis=0) for label in np.unique(classes)])
    agreed = float((votes * (votes - 1)).sum() / (items * runs * (runs - 1)))
    by_chance = float(np.square(votes.sum(axis=1) / (items * runs)).sum())
    return Agreement(1 - agreed, (agreed - by_chance) / (1 - by_chance) if len(votes) > 1 else float("nan"))


def jensen_shannon(probabilities: ArrayLike) -> float:
    """Computes the mean Jensen-Shannon divergence of the distributions that two runs predict, in bits.

    The mean is over all pairs of runs and all items. It is 0 if all runs predict the same
    distribution, and 1 if no two runs give probability to the same class. Computed in single
    precision: errors of about 1e-6, as from probabilities that were rounded to 16 bits.

    Args:
        probabilities: (S, I, K) of each run for each item, finite, summing to 1 over K.

    Returns:
        In [0, 1]; NaN for S = 1.

    Raises:
        ValueError: Empty, another number of dimensions, or not finite.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 3 or p.size == 0 or not np.isfinite(p).all():
        raise ValueError(f"jensen_shannon: expected finite probabilities of runs, items and classes, got shape {p.shape}")
    runs, items, classes = p.shape
    if runs == 1:
        return float("nan")
    total = 0.0
    for start in range(0, items, block := max(1, BLOCK // (runs * classes))):
        part = p[:, start : start + block]
        mixed = sum(_entropy((part[run] + part[run + 1 :]) / 2) for run in range(runs - 1))
        total += mixed - (runs - 1) / 2 * _entropy(part)  # each run is in S - 1 pairs
    return float(np.clip(total / (items * runs * (runs - 1) / 2), 0, 1))


def absolute_difference(predictions: ArrayLike) -> float:
    """Computes the mean absolute difference of predicted numbers, over all pairs of runs and all items.

    Args:
        predictions: (S, I) number that each run predicts for each item.

    Returns:
        In units of the labels; NaN for S = 1.
    """
    numbers = finite(predictions, "absolute_difference", ndim=2)
    runs, items = numbers.shape
    if runs == 1:
        return float("nan")
    # In sorted order, the i-th of S numbers is above i - 1 others and below S - i.
    return float(((2 * np.arange(runs) - runs + 1) @ np.sort(numbers, axis=0)).sum() / (items * runs * (runs - 1) / 2))


def _entropy(p: NDArray[np.float64]) -> float:
    """Sums the entropies, in bits, of distributions over the last axis."""
    return -float((p * np.log2(np.maximum(p, 1e-30))).sum())
