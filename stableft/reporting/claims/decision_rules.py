"""Decision rules: pure functions from arrays of runs, paired by seed, to the evidence of a task."""

import math
from dataclasses import replace

import numpy as np
import scipy

from stableft import statistics
from stableft.reporting import rounding
from stableft.reporting.claims.claim import Evidence, Verdict
from stableft.statistics import Vector

ALPHA = 0.05
FEWEST_ESTIMATED = 4  # seeds for an estimate of the seeds needed
FEWEST = 6  # pairs for a sign-flip test to reach ALPHA: 2^(1 - 6) = 0.03
SIGNIFICANT = "95 % BCa interval, sign-flip p <= 0.05"  # wording of the rule for a difference in claims
STEADIER = "test of Brown and Forsythe, p <= 0.05"  # likewise for a ratio of standard deviations
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
    effect = _signed(values.mean())
    found = f"{effect} ({_signed(ends[0])} to {_signed(ends[1])}), p = {p:.2g}, n = {values.size}"
    return _with_seeds(Evidence(verdict, found, values.size, effect=effect), signed - margin)


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
    return _with_seeds(Evidence(verdict, found, d.n, effect=_signed(d.mean)), distance)


def spread(treated: Vector, reference: Vector) -> Evidence:
    """Decides whether the treated arm spreads less over seeds, by the test of Brown and Forsythe.

    It compares the distances from the medians. The bootstrap interval of the ratio of standard
    deviations is shown, and decides nothing: it excludes 1 in 8 to 9 % of equal arms of 6 to 10 seeds.
    """
    r = rounding.exact(statistics.std_ratio(treated, reference, statistics.resampling()))
    away = [rounding.exact(np.abs(x - np.median(x))) for x in (treated, reference)]
    verdict: Verdict = "inconclusive"
    if r.p <= ALPHA:
        verdict = "confirmed" if rounding.exact(float(away[0].mean() - away[1].mean())) < 0 else "contradicted"
    n = len(treated)
    stds = [_number(x.std(ddof=1)) if n > 1 else "undefined" for x in (treated, reference)]
    ratio = f"{r.ratio:.2f} ({r.low:.2f} to {r.high:.2f})"
    found = f"std {stds[0]} against {stds[1]}, ratio {ratio}, Brown-Forsythe p = {r.p:.2g}, n = {n}"
    effect = f"std x {r.ratio:.2f}" if math.isfinite(r.ratio) else ""
    return _with_seeds(Evidence(verdict, found, n, effect=effect), away[0] - away[1])


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
    effect = f"{rates.failed} of {rates.n} against {int(reference.sum())}"
    evidence = _with_seeds(Evidence(verdict, found, rates.n, effect=effect), treated - reference)
    if verdict == "inconclusive" and evidence.seeds_needed is None:
        return replace(evidence, seeds_needed=_to_exclude(rate))
    return evidence


def no_failure(failed: Vector, rate: float) -> Evidence:
    """Decides whether no run fails, with a Wilson interval below ``rate``; ``failed`` is (S,).

    A single failed run contradicts.
    """
    rates = rounding.exact(statistics.failed_runs(failed == 1))
    verdict: Verdict = "contradicted" if rates.failed else "confirmed" if rates.high < rate else "inconclusive"
    found = f"{rates.failed} of {rates.n} failed ({rates.low:.0%} to {rates.high:.0%})"
    needed = _to_exclude(rate) if verdict == "inconclusive" else None
    return Evidence(verdict, found, rates.n, needed, effect=f"{rates.failed} of {rates.n} failed")


def each_above(values: Vector, margin: float) -> Evidence:
    """Decides whether every run at hand is above the margin; it infers nothing about other runs.

    For claims on single runs, such as one pair of runs per task. Contradicted if no run is above it.

    Args:
        values: (S,) one per run, S >= 1.
        margin: In their unit, >= 0.
    """
    above = int((values > margin).sum())
    verdict: Verdict = "confirmed" if above == values.size else "inconclusive" if above else "contradicted"
    found = f"{above} of {values.size} above {_number(margin)}: {', '.join(map(_signed, values))}"
    return Evidence(verdict, found, values.size, effect=f"{above} of {values.size}")


def _to_exclude(rate: float) -> int:
    """Returns the fewest runs, all successful, with a Wilson interval below the rate."""
    return math.floor(Z_SQUARED * (1 / rate - 1)) + 1


def _with_seeds(evidence: Evidence, difference: Vector) -> Evidence:
    """Returns evidence with the seeds that find a mean difference of this size with 80 % probability.

    The number is larger than the present one. Its range has the numbers at the ends of the difference's
    95 % interval (Student's t). There is none if a verdict exists, with fewer than `FEWEST_ESTIMATED`
    seeds, or if the number is not determined.
    """
    n = len(difference)
    if evidence.verdict != "inconclusive" or n < FEWEST_ESTIMATED:
        return evidence
    mean, std = float(difference.mean()), float(difference.std(ddof=1))
    half = float(scipy.stats.t.ppf(0.975, n - 1)) * std / math.sqrt(n)
    needed = _seeds(mean, std, n)
    if needed is None:
        return evidence
    fewest = _seeds(abs(mean) + half, std, n) or needed
    most = _seeds(abs(mean) - half, std, n) if abs(mean) > half else None
    return replace(evidence, seeds_needed=needed, seeds_range=(fewest, most))


def _seeds(effect: float, std: float, n: int) -> int | None:
    seeds = statistics.seeds_needed(effect, std, alpha=ALPHA)
    return None if seeds is None else max(seeds, n + 1)


def _number(value: float) -> str:
    value = rounding.exact(float(value))
    return f"{value:.3f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"


def _signed(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    value = rounding.exact(float(value))
    return f"{value:+.3f}" if abs(value) >= 0.0005 or value == 0 else f"{value:+.1g}"
