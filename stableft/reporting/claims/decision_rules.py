"""Decision rules: pure functions from arrays of runs, paired by seed, to the evidence of a task."""

import math
from dataclasses import replace

import numpy as np

from stableft import statistics
from stableft.reporting import rounding
from stableft.reporting.claims.claim import Evidence, Verdict
from stableft.statistics import Vector

ALPHA = 0.05
FEWEST = 6  # pairs for a sign-flip test to reach ALPHA: 2^(1 - 6) = 0.03
SIGNIFICANT = "95 % BCa interval, sign-flip p <= 0.05"  # wording of the rule for a difference in claims
Z_SQUARED = 3.8415  # of the 95 % Wilson interval


def difference(treated: Vector, reference: Vector, margin: float = 0.0, sign: int = 1) -> Evidence:
    """Decides whether ``sign`` times the mean of ``treated - reference`` is above the margin.

    See `mean_above`.
    """
    one = mean_above(treated - reference, margin, sign)
    return replace(one, found=f"{_number(treated.mean())} against {_number(reference.mean())}, difference {one.found}")


def mean_above(values: Vector, margin: float = 0.0, sign: int = 1) -> Evidence:
    """Decides whether ``sign`` times the mean is above the margin.

    Requires that the BCa interval excludes the margin, and a sign-flip p <= `ALPHA`.

    Args:
        values: (S,) one per seed, S >= 1.
        margin: In their unit, >= 0.
        sign: 1, or -1.
    """
    signed = rounding.exact(sign * values)  # so that equal differences are ties
    low, high = rounding.exact(statistics.mean_interval(signed, statistics.resampling()))
    p = rounding.exact(statistics.sign_flip_p(signed - margin, statistics.resampling()))
    verdict: Verdict = "inconclusive"
    if p <= ALPHA and low > margin:
        verdict = "confirmed"
    elif p <= ALPHA and high < margin:
        verdict = "contradicted"
    ends = sorted((sign * low, sign * high))
    found = f"{_signed(values.mean())} ({_signed(ends[0])} to {_signed(ends[1])}), p = {p:.2g}, n = {values.size}"
    return Evidence(verdict, found, values.size, _needed(signed - margin, verdict))


def equality(treated: Vector, reference: Vector, margin: float) -> Evidence:
    """Decides whether the arms differ by at most the margin.

    Confirmed if the BCa interval lies within the margin, contradicted if it lies outside.
    """
    d = rounding.exact(statistics.paired_difference(treated, reference, statistics.resampling()))
    verdict: Verdict = "inconclusive"
    if d.n > 1 and -margin <= d.low and d.high <= margin:
        verdict = "confirmed"
    elif d.low > margin or d.high < -margin:
        verdict = "contradicted"
    found = (
        f"{_number(treated.mean())} against {_number(reference.mean())}, difference {_signed(d.mean)} "
        f"({_signed(d.low)} to {_signed(d.high)}), n = {d.n}"
    )
    # Seeds to tell the mean difference from the nearer margin: as many as to tell their distance from 0.
    distance = (margin - abs(d.mean)) * np.ones(d.n) + (treated - reference - d.mean)
    return Evidence(verdict, found, d.n, _needed(distance, verdict))


def spread(treated: Vector, reference: Vector) -> Evidence:
    """Decides whether the treated arm spreads less over seeds.

    Confirmed if the interval of the ratio of standard deviations lies below 1, contradicted if it lies
    above.
    """
    r = rounding.exact(statistics.std_ratio(treated, reference, statistics.resampling()))
    verdict: Verdict = "inconclusive"
    if r.high < 1:
        verdict = "confirmed"
    elif r.low > 1:
        verdict = "contradicted"
    n = len(treated)
    stds = [_number(x.std(ddof=1)) if n > 1 else "undefined" for x in (treated, reference)]
    found = f"std {stds[0]} against {stds[1]}, ratio {r.ratio:.2f} ({r.low:.2f} to {r.high:.2f}), n = {n}"
    away = [np.abs(x - np.median(x)) for x in (treated, reference)]  # compared by Brown and Forsythe's test
    return Evidence(verdict, found, n, _needed(away[0] - away[1], verdict))


def failures(treated: Vector, reference: Vector, rate: float) -> Evidence:
    """Decides whether more runs of the treated arm fail, by McNemar's exact test.

    Contradicted if fewer fail by that test, or if the Wilson interval of the treated arm's rate of
    failed runs lies below ``rate``.

    Args:
        treated: (S,) 1 if the run failed, else 0.
        reference: (S,) likewise, the same seeds.
        rate: In (0, 1).
    """
    m = rounding.exact(statistics.mcnemar(treated == 1, reference == 1))
    rates = rounding.exact(statistics.failed_runs(treated == 1))
    significant = m.p <= ALPHA
    verdict: Verdict = "inconclusive"
    if significant and m.only_treated > m.only_reference:
        verdict = "confirmed"
    elif significant or rates.high < rate:
        verdict = "contradicted"
    found = (
        f"{rates.failed} of {rates.n} failed ({rates.low:.0%} to {rates.high:.0%}) against {int(reference.sum())}, p = {m.p:.2g}"
    )
    needed = _needed(treated - reference, verdict)
    if verdict == "inconclusive" and needed is None:
        needed = _to_exclude(rate)
    return Evidence(verdict, found, rates.n, needed)


def no_failure(failed: Vector, rate: float) -> Evidence:
    """Decides whether no run fails, with a Wilson interval below ``rate``; ``failed`` is (S,).

    A single failed run contradicts.
    """
    rates = rounding.exact(statistics.failed_runs(failed == 1))
    verdict: Verdict = "contradicted" if rates.failed else "confirmed" if rates.high < rate else "inconclusive"
    found = f"{rates.failed} of {rates.n} failed ({rates.low:.0%} to {rates.high:.0%})"
    return Evidence(verdict, found, rates.n, _to_exclude(rate) if verdict == "inconclusive" else None)


def _to_exclude(rate: float) -> int:
    """Returns the fewest runs, all successful, with a Wilson interval below the rate."""
    return math.floor(Z_SQUARED * (1 / rate - 1)) + 1


def _needed(difference: Vector, verdict: Verdict) -> int | None:
    """Returns the seeds needed to find a mean difference of this size with 80 % probability.

    The number is larger than the present one. None if a verdict exists, with fewer than two seeds, or
    if the number is not determined.
    """
    if verdict != "inconclusive" or len(difference) < 2:
        return None
    seeds = statistics.seeds_needed(float(difference.mean()), float(difference.std(ddof=1)), alpha=ALPHA)
    return None if seeds is None else max(seeds, len(difference) + 1)


def _number(value: float) -> str:
    value = rounding.exact(float(value))
    return f"{value:.3f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"


def _signed(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    value = rounding.exact(float(value))
    return f"{value:+.3f}" if abs(value) >= 0.0005 or value == 0 else f"{value:+.1g}"
