"""Estimates over seeds. Pure functions of arrays.

The unit of replication is the seed: one value per run, never one per step; where test items are a second source of chance, the
estimate says so. Every random choice comes from the generator that is passed in. NaN is refused everywhere: a diverged run is data,
so the caller decides what it counts as and says so.
"""

from stableft.statistics.arms import FailedRuns, Summary, failed_runs, summary
from stableft.statistics.intervals import (
    CONFIDENCE,
    CURVE_RESAMPLES,
    MEAN_RESAMPLES,
    RESAMPLING_SEED,
    Interval,
    Vector,
    curve_interval,
    mean_interval,
    wilson_interval,
)
from stableft.statistics.pairs import (
    EXACT_FLIPS,
    SAMPLED_FLIPS,
    Improvement,
    McNemar,
    PairedDifference,
    StdRatio,
    holm,
    improvement,
    mcnemar,
    paired_difference,
    sign_flip_p,
    std_ratio,
    wilcoxon_p,
)
from stableft.statistics.sample_size import minimum_detectable, power, seeds_needed
from stableft.statistics.selection import BestOfN, best_of_n, expected_best, expected_test_of_best

__all__ = [
    "CONFIDENCE",
    "CURVE_RESAMPLES",
    "EXACT_FLIPS",
    "MEAN_RESAMPLES",
    "RESAMPLING_SEED",
    "SAMPLED_FLIPS",
    "BestOfN",
    "FailedRuns",
    "Improvement",
    "Interval",
    "McNemar",
    "PairedDifference",
    "StdRatio",
    "Summary",
    "Vector",
    "best_of_n",
    "curve_interval",
    "expected_best",
    "expected_test_of_best",
    "failed_runs",
    "holm",
    "improvement",
    "mcnemar",
    "mean_interval",
    "minimum_detectable",
    "paired_difference",
    "power",
    "seeds_needed",
    "sign_flip_p",
    "std_ratio",
    "summary",
    "wilcoxon_p",
    "wilson_interval",
]
