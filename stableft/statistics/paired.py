"""Paired comparisons of two arms at the same seeds, which removes the variance due to the seed."""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from stableft.statistics.intervals import (
    BATCH,
    CONFIDENCE,
    MEAN_RESAMPLES,
    Vector,
    ends,
    finite,
    flags,
    mean_interval,
    paired,
    wilson_interval,
)
from stableft.statistics.sign_flip import sign_flip_p


class PairedDifference(NamedTuple):
    """Mean of ``treated - reference`` over n shared seeds, its interval and the sign-flip p-value."""

    n: int
    mean: float
    low: float
    high: float
    p: float


class StdRatio(NamedTuple):
    """Ratio of standard deviations over seeds, treated / reference (below 1: treated is steadier).

    With its interval and the p-value of the Brown-Forsythe test.
    """

    ratio: float
    low: float
    high: float
    p: float


class McNemar(NamedTuple):
    """Seeds at which only one arm failed, and the exact two-sided p of "either arm is as likely to"."""

    only_treated: int
    only_reference: int
    p: float


class Improvement(NamedTuple):
    """Share of the seeds at which the treated arm is better, with its interval; a tie counts half."""

    probability: float
    low: float
    high: float


def paired_difference(
    treated: ArrayLike, reference: ArrayLike, rng: np.random.Generator, confidence: float = CONFIDENCE
) -> PairedDifference:
    """Estimates the mean difference of two arms, seed by seed.

    Args:
        treated: (S,) scores, S >= 1.
        reference: (S,) scores of the same seeds in the same order.
        rng: Source of the resamples and, for large S, of the sign flips.
        confidence: Coverage of the BCa interval, in (0, 1).
    """
    t, r = paired(treated, reference, "paired_difference")
    difference = t - r
    low, high = mean_interval(difference, rng, confidence)
    return PairedDifference(t.size, float(difference.mean()), low, high, sign_flip_p(difference, rng))


def std_ratio(
    treated: ArrayLike,
    reference: ArrayLike,
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = MEAN_RESAMPLES,
) -> StdRatio:
    """Compares the spread of two arms over seeds: the ratio of their standard deviations.

    The interval is a percentile interval over resampled seeds, the same seeds for both arms.
    Resamples in which neither arm varies have no ratio and are left out. p is that of the test of
    Brown and Forsythe (1974): Levene's test about the medians. The test treats the arms as
    independent, so it is conservative if a seed affects both alike.

    Args:
        treated: (S,) scores, S >= 1.
        reference: (S,) scores of the same seeds in the same order.
        rng: Source of the resamples.
        confidence: Coverage of the interval, in (0, 1).
        resamples: Number of bootstrap samples.

    Returns:
        All NaN for S = 1, and if neither arm varies. The ratio is infinite if only the reference
        does not vary. p is NaN for S = 2, and if in both arms all scores are equally far from the
        median.
    """
    t, r = paired(treated, reference, "std_ratio")
    if t.size == 1 or np.ptp(t) == np.ptp(r) == 0:
        return StdRatio(*[float("nan")] * 4)
    # In batches, to limit memory. A reference without variance divides by zero: that is meant.
    batch = max(1, BATCH // t.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(_stds(t[None])[0] / _stds(r[None])[0])
        parts = []
        for start in range(0, resamples, batch):
            drawn = rng.integers(0, t.size, size=(min(batch, resamples - start), t.size))
            parts.append(_stds(t[drawn]) / _stds(r[drawn]))
        ratios = np.concatenate(parts)
    # Some ratios may be infinite, so the quantiles must not interpolate.
    low, high = np.quantile(ratios[~np.isnan(ratios)], ends(confidence), method="inverted_cdf")
    return StdRatio(ratio, float(low), float(high), brown_forsythe_p(t, r))


def mcnemar(failed_treated: ArrayLike, failed_reference: ArrayLike) -> McNemar:
    """Computes the exact test of McNemar (1947) of two arms with failed runs.

    Among the seeds at which only one arm failed, is it one arm more often than the other?

    Args:
        failed_treated: (S,) booleans, S >= 1.
        failed_reference: (S,) booleans of the same seeds in the same order.
    """
    t, r = (flags(failed, "mcnemar") for failed in paired(failed_treated, failed_reference, "mcnemar"))
    only_treated, only_reference = int((t & ~r).sum()), int((r & ~t).sum())
    discordant = only_treated + only_reference
    p = float(scipy.stats.binomtest(only_treated, discordant).pvalue) if discordant else 1.0
    return McNemar(only_treated, only_reference, p)


def improvement(treated: ArrayLike, reference: ArrayLike, confidence: float = CONFIDENCE) -> Improvement:
    """Estimates the probability that the treated arm is better at a seed.

    The estimate is the share of such seeds plus half of the ties. Agarwal et al. (2021) compare
    every run of one arm with every run of the other; here runs are paired by seed. The interval is
    Wilson's: unlike a bootstrap interval it does not shrink to a point if all seeds agree. With
    ties it is too wide.

    Args:
        treated: (S,) scores, S >= 1.
        reference: (S,) scores of the same seeds in the same order.
        confidence: Coverage of the interval, in (0, 1).
    """
    t, r = paired(treated, reference, "improvement")
    share = float(np.mean((t > r) + 0.5 * (t == r)))
    return Improvement(share, *wilson_interval(share, t.size, confidence))


def holm(ps: ArrayLike) -> Vector:
    """Adjusts the p-values of a family by Holm's (1979) method.

    Rejecting wherever the adjusted value is at most alpha makes any false rejection in the family
    at most alpha likely.

    Args:
        ps: (M,) the p-values of the whole family, in [0, 1].

    Returns:
        (M,), each at least its p and at most 1.

    Raises:
        ValueError: A value outside [0, 1], or as `finite`.
    """
    p = finite(ps, "holm", ndim=1)
    if p.min() < 0 or p.max() > 1:
        raise ValueError("holm: p-values lie in [0, 1]")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)))
    return adjusted


def _stds(samples: Vector) -> Vector:
    """Returns the (B,) standard deviation of each row, exactly 0 if all its values are equal."""
    return np.where(np.ptp(samples, axis=1) > 0, samples.std(axis=1), 0.0)


def brown_forsythe_p(treated: ArrayLike, reference: ArrayLike) -> float:
    """Returns the p of Brown and Forsythe's (1974) test of equal spread; see `std_ratio` for NaN.

    Args:
        treated: (S,) scores, S >= 1.
        reference: (S,) scores of the same seeds in the same order.
    """
    t, r = paired(treated, reference, "brown_forsythe_p")
    away = [np.abs(x - np.median(x)) for x in (t, r)]
    if t.size < 3 or all(np.ptp(distances) == 0 for distances in away):
        return float("nan")
    return float(scipy.stats.levene(t, r, center="median").pvalue)
