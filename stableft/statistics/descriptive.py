"""What the runs of one arm are like."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from stableft.statistics.intervals import CONFIDENCE, finite, flags, wilson_interval


class Summary(NamedTuple):
    """What a table row says about the scores of one arm.

    ``std`` has n - 1 and is NaN for n = 1; ``iqm`` is the mean of what is left without the lowest and the highest quarter of the
    runs, either rounded down (Agarwal et al., 2021).
    """

    n: int
    mean: float
    std: float
    median: float
    iqm: float
    min: float
    max: float


class FailedRuns(NamedTuple):
    """How many runs failed, with a Wilson interval of the rate."""

    failed: int
    n: int
    low: float
    high: float


def summary(scores: ArrayLike) -> Summary:
    """Describes the scores of one arm.

    Args:
        scores: (S,) one per seed, S >= 1.
    """
    x = finite(scores, "summary", ndim=1)
    std = float(x.std(ddof=1)) if x.size > 1 else float("nan")
    iqm = float(stats.trim_mean(x, 0.25))
    return Summary(x.size, float(x.mean()), std, float(np.median(x)), iqm, float(x.min()), float(x.max()))


def failed_runs(failed: ArrayLike, confidence: float = CONFIDENCE) -> FailedRuns:
    """Counts failed runs, with `wilson_interval` of the rate.

    Args:
        failed: (S,) booleans, S >= 1; failed in the sense of Mosbach et al. (2021), section 3.2.
        confidence: Coverage, in (0, 1).
    """
    lost = flags(failed, "failed_runs")
    count = int(lost.sum())
    return FailedRuns(count, lost.size, *wilson_interval(count / lost.size, lost.size, confidence))
