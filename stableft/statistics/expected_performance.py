"""What the best of n runs is expected to be: the price of a budget of seeds.

Exact, not by resampling, for n = 1..N drawn from N runs, in both estimators: with replacement (Dodge et al., 2019, equation 6, and
their released code: the best is at most the i-th of N with probability (i/N)^n; protocol section 6) and without (the unbiased one:
C(i, n) / C(N, n)). Zhang et al. (2021), Figures 4 and 12, draw with replacement, 1,000 times; here is what that tends to.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stableft.statistics.intervals import Vector, finite


class BestOfN(NamedTuple):
    """(N,) mean and (N,) standard deviation of the score of the best of n runs, for n = 1..N."""

    mean: Vector
    std: Vector


def expected_best(scores: ArrayLike, replacement: bool = True) -> Vector:
    """(N,) expected best score of n runs, n = 1..N; see `best_of_n`."""
    return best_of_n(scores, replacement=replacement).mean


def expected_test_of_best(validation: ArrayLike, test: ArrayLike, replacement: bool = True) -> Vector:
    """(N,) expected test score of the run with the best validation score among n, n = 1..N; see `best_of_n`."""
    return best_of_n(validation, test, replacement).mean


def best_of_n(validation: ArrayLike, test: ArrayLike | None = None, replacement: bool = True) -> BestOfN:
    """The score of the run that is chosen among n: the one with the best validation score.

    Runs of equal validation score are chosen alike often, so what they count is the mean of their scores.

    Args:
        validation: (N,) scores by which is chosen, N >= 1; higher is better.
        test: (N,) scores of the same runs that count; None: those by which is chosen.
        replacement: Whether a run may be drawn twice. Without, the value at N is that of the best run.

    Returns:
        Mean and standard deviation over draws. Dodge et al. clip the band of one standard deviation to the range of the scores.
    """
    chosen_by = finite(validation, "best_of_n", ndim=1)
    counts = chosen_by if test is None else finite(test, "best_of_n", ndim=1)
    if counts.shape != chosen_by.shape:
        raise ValueError(f"best_of_n: {chosen_by.size} validation and {counts.size} test scores are not of the same runs")
    order = np.argsort(chosen_by, kind="stable")
    counts = counts[order]
    _, first, size = np.unique(chosen_by[order], return_index=True, return_counts=True)
    moments = np.empty((2, chosen_by.size))
    for n, below in enumerate(_distributions(chosen_by.size, replacement)):
        weights = np.repeat((below[first + size] - below[first]) / size, size)
        mean = weights @ counts
        moments[:, n] = mean, np.sqrt(weights @ (counts - mean) ** 2)
    return BestOfN(*moments)


def _distributions(num_runs: int, replacement: bool) -> Iterator[Vector]:
    """For n = 1..N: (N + 1,) the probability that all n drawn runs are among the i worst, i = 0..N."""
    i = np.arange(num_runs + 1.0)
    below = np.ones(num_runs + 1)
    for drawn in range(num_runs):
        below = below * (i / num_runs if replacement else np.maximum(i - drawn, 0) / (num_runs - drawn))
        yield below
