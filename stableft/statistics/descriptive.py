"""Descriptive statistics of one arm: summary of its scores, and its rate of failed runs."""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from stableft.statistics.intervals import CONFIDENCE, finite, flags, wilson_interval


class Summary(NamedTuple):
    """Summary of the scores of one arm, as a row of a table shows it.

    Attributes:
        n: Number of runs.
        mean: Mean score.
        std: Standard deviation with n - 1 degrees of freedom; NaN for n = 1.
        median: Median score.
        iqm: Mean without the lowest and the highest quarter of the runs, each quarter rounded down
            to whole runs (Agarwal et al., 2021).
        min: Lowest score.
        max: Highest score.
    """

    n: int
    mean: float
    std: float
    median: float
    iqm: float
    min: float
    max: float


class FailedRuns(NamedTuple):
    """Number of failed runs among n, with a Wilson interval of the rate."""

    failed: int
    n: int
    low: float
    high: float


def summary(scores: ArrayLike) -> Summary:
    """Summarizes the scores of one arm.

    Args:
        scores: (S,) one per seed, S >= 1.
    """
    x = finite(scores, "summary", ndim=1)
    std = float(x.std(ddof=1)) if x.size > 1 else float("nan")
    iqm = float(scipy.stats.trim_mean(x, 0.25))
    return Summary(x.size, float(x.mean()), std, float(np.median(x)), iqm, float(x.min()), float(x.max()))


def failed_runs(failed: ArrayLike, confidence: float = CONFIDENCE) -> FailedRuns:
    """Counts failed runs, and adds the `wilson_interval` of their rate.

    Args:
        failed: (S,) booleans, S >= 1; failed in the sense of Mosbach et al. (2021), section 3.2.
        confidence: Coverage, in (0, 1).
    """
    lost = flags(failed, "failed_runs")
    count = int(lost.sum())
    return FailedRuns(count, lost.size, *wilson_interval(count / lost.size, lost.size, confidence))
