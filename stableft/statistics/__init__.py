"""Estimates over seeds: pure functions of arrays.

The unit of replication is the seed: one value per run, never one per step. If test items are a
second source of randomness, the docstring of the estimate says so. Every random choice comes from
the generator in the arguments. All functions refuse NaN: a diverged run is data, so the caller
decides its value and documents the choice.
"""

from stableft.statistics.descriptive import FailedRuns, Summary, failed_runs, summary
from stableft.statistics.expected_performance import BestOfN, best_after_stopping, best_of_n, expected_best, expected_test_of_best
from stableft.statistics.group_sequential import Stopping, predictive_power, sequential_sign_flip
from stableft.statistics.intervals import (
    CONFIDENCE,
    CURVE_RESAMPLES,
    MEAN_RESAMPLES,
    RESAMPLING_SEED,
    Interval,
    Vector,
    curve_interval,
    mean_interval,
    resampling,
    wilson_interval,
)
from stableft.statistics.item_bootstrap import multi_bootstrap
from stableft.statistics.paired import (
    Improvement,
    McNemar,
    PairedDifference,
    StdRatio,
    brown_forsythe_p,
    holm,
    improvement,
    mcnemar,
    paired_difference,
    std_ratio,
)
from stableft.statistics.prediction_agreement import Agreement, absolute_difference, agreement, jensen_shannon
from stableft.statistics.sample_size import Verdicts, minimum_detectable, power, seeds_needed, verdicts
from stableft.statistics.sign_flip import EXACT_FLIPS, SAMPLED_FLIPS, sign_flip_p, sign_flip_ps, wilcoxon_p
from stableft.statistics.stochastic_order import almost_stochastic_order, violation_ratio
from stableft.statistics.variance_decomposition import (
    ComponentIntervals,
    CrossedMean,
    SpreadRatio,
    VarianceComponents,
    component_intervals,
    crossed_mean,
    spread_ratio,
    variance_components,
)

__all__ = [
    "CONFIDENCE",
    "CURVE_RESAMPLES",
    "EXACT_FLIPS",
    "MEAN_RESAMPLES",
    "RESAMPLING_SEED",
    "SAMPLED_FLIPS",
    "Agreement",
    "BestOfN",
    "ComponentIntervals",
    "CrossedMean",
    "FailedRuns",
    "Improvement",
    "Interval",
    "McNemar",
    "PairedDifference",
    "SpreadRatio",
    "StdRatio",
    "Stopping",
    "Summary",
    "VarianceComponents",
    "Vector",
    "Verdicts",
    "absolute_difference",
    "agreement",
    "almost_stochastic_order",
    "best_after_stopping",
    "best_of_n",
    "brown_forsythe_p",
    "component_intervals",
    "crossed_mean",
    "curve_interval",
    "expected_best",
    "expected_test_of_best",
    "failed_runs",
    "holm",
    "improvement",
    "jensen_shannon",
    "mcnemar",
    "mean_interval",
    "minimum_detectable",
    "multi_bootstrap",
    "paired_difference",
    "power",
    "predictive_power",
    "resampling",
    "seeds_needed",
    "sequential_sign_flip",
    "sign_flip_p",
    "sign_flip_ps",
    "spread_ratio",
    "std_ratio",
    "summary",
    "variance_components",
    "verdicts",
    "violation_ratio",
    "wilcoxon_p",
    "wilson_interval",
]
