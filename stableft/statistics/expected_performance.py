"""Expected performance of the best of n runs: the benefit of a larger budget of seeds.

Both estimators are exact, without resampling, for n = 1..N drawn from N runs. With replacement, the
best of n is at most the i-th of N with probability (i/N)^n (Dodge et al., 2019, equation 6, and
their released code; protocol section 6). Without replacement the estimator is unbiased, with C(i,
n) / C(N, n). Zhang et al. (2021), Figures 4 and 12, draw 1,000 times with replacement; our values
are the limit of theirs.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stableft.statistics.intervals import Vector, finite

DRAWS = 5_000


class BestOfN(NamedTuple):
    """(N,) mean and (N,) standard deviation of the score of the best of n runs, for n = 1..N."""

    mean: Vector
    std: Vector


def expected_best(scores: ArrayLike, replacement: bool = True) -> Vector:
    """Returns the (N,) expected best score of n runs, n = 1..N; see `best_of_n`."""
    return best_of_n(scores, replacement=replacement).mean


def expected_test_of_best(validation: ArrayLike, test: ArrayLike, replacement: bool = True) -> Vector:
    """Returns the (N,) expected test score of the best run on validation among n; see `best_of_n`."""
    return best_of_n(validation, test, replacement).mean


def best_of_n(validation: ArrayLike, test: ArrayLike | None = None, replacement: bool = True) -> BestOfN:
    """Computes the expected score of the run with the best validation score among n runs.

    Runs with equal validation scores are equally likely to be chosen, so each counts with the mean
    of their scores.

    Args:
        validation: (N,) scores to choose by, N >= 1; higher is better.
        test: (N,) scores to report, of the same runs; None: the validation scores.
        replacement: Whether a run may be drawn twice. Without replacement, the value at N is the
            score of the best run.

    Returns:
        Mean and standard deviation over draws. Dodge et al. clip the band of one standard deviation
        to the range of the scores; we do not.

    Raises:
        ValueError: The arrays have different lengths, or as `finite`.
    """
    chosen_by = finite(validation, "best_of_n", ndim=1)
    counts = chosen_by if test is None else finite(test, "best_of_n", ndim=1)
    if counts.shape != chosen_by.shape:
        raise ValueError(f"best_of_n: {chosen_by.size} validation and {counts.size} test scores are not of the same runs")
    # Groups of equal validation scores, from the worst to the best: `first` and `size` of each.
    order = np.argsort(chosen_by, kind="stable")
    counts = counts[order]
    _, first, size = np.unique(chosen_by[order], return_index=True, return_counts=True)
    moments = np.empty((2, chosen_by.size))
    for n, below in enumerate(_distributions(chosen_by.size, replacement)):
        # The probability that the best of n is in a group, shared equally by its runs.
        weights = np.repeat((below[first + size] - below[first]) / size, size)
        mean = weights @ counts
        moments[:, n] = mean, np.sqrt(weights @ (counts - mean) ** 2)
    return BestOfN(*moments)


def best_after_stopping(
    early: ArrayLike, final: ArrayLike, started: int, continued: int, rng: np.random.Generator, draws: int = DRAWS
) -> float:
    """Estimates the expected best final score if only the runs that lead at an early point continue.

    Dodge et al. (2020): start many, stop early, continue some. Runs with equal early scores are equally
    likely to continue.

    Args:
        early: (N,) scores at the point where runs are stopped; higher is better.
        final: (N,) final scores of the same runs.
        started: Runs drawn without replacement, 1..N.
        continued: Runs among them that continue, 1..started.
        rng: Source of the draws.
        draws: Number of draws.

    Raises:
        ValueError: The arrays have different lengths, the numbers are out of range, or as `finite`.
    """
    leads, ends = finite(early, "best_after_stopping", ndim=1), finite(final, "best_after_stopping", ndim=1)
    if leads.shape != ends.shape:
        raise ValueError(f"best_after_stopping: {leads.size} early and {ends.size} final scores are not of the same runs")
    if not 1 <= continued <= started <= leads.size:
        raise ValueError(f"best_after_stopping: continued {continued} of started {started} of {leads.size} runs")
    # The order of a draw is random, and the sort is stable, so ties are broken at random.
    drawn = rng.permuted(np.tile(np.arange(leads.size), (draws, 1)), axis=1)[:, :started]
    best = np.take_along_axis(drawn, np.argsort(-leads[drawn], axis=1, kind="stable")[:, :continued], axis=1)
    return float(ends[best].max(axis=1).mean())


def _distributions(num_runs: int, replacement: bool) -> Iterator[Vector]:
    """Yields for n = 1..N the (N + 1,) probabilities of drawing only from the i worst runs, i = 0..N."""
    i = np.arange(num_runs + 1.0)
    below = np.ones(num_runs + 1)
    for drawn in range(num_runs):
        below = below * (i / num_runs if replacement else np.maximum(i - drawn, 0) / (num_runs - drawn))
        yield below
