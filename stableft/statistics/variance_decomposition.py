"""Variance decomposition of scores by two sources of randomness, such as weights and data order."""

from typing import Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from stableft.statistics.intervals import CONFIDENCE, Interval, finite


class VarianceComponents(NamedTuple):
    """Variance due to rows, to columns and to the rest, and p of "rows (columns) have no effect"."""

    rows: float
    columns: float
    rest: float
    p_rows: float
    p_columns: float


def variance_components(scores: ArrayLike) -> VarianceComponents:
    """Decomposes the variance of scores by rows and columns, with one run per cell.

    The model is score = mean + row + column + rest, all independent and random. The estimates use
    the mean squares of the two-way analysis of variance, with the F test of each factor against the
    rest. With one run per cell, the rest is interaction and repetition noise together. An estimate
    below 0 is set to 0, as usual. Dodge et al. (2020) test their seeds of weights and of data order
    in the same way.

    Args:
        scores: (A, B) one run per row and column, A and B >= 2.

    Returns:
        If all scores are equal, the variances are 0 and p is NaN.

    Raises:
        ValueError: Fewer than two rows or columns, or as `finite`.
    """
    x = _crossed(scores, "variance_components")
    if np.ptp(x) == 0:
        return VarianceComponents(0.0, 0.0, 0.0, float("nan"), float("nan"))
    m = _mean_squares(x)
    a, b = x.shape
    with np.errstate(divide="ignore"):
        p_rows, p_columns = scipy.stats.f.sf(np.divide([m.rows, m.columns], m.rest), [a - 1, b - 1], (a - 1) * (b - 1))
    return VarianceComponents(
        max(0.0, (m.rows - m.rest) / b), max(0.0, (m.columns - m.rest) / a), m.rest, float(p_rows), float(p_columns)
    )


class ComponentIntervals(NamedTuple):
    """Intervals of the variance due to rows, to columns and to the rest."""

    rows: Interval
    columns: Interval
    rest: Interval


def component_intervals(scores: ArrayLike, confidence: float = CONFIDENCE) -> ComponentIntervals:
    """Computes intervals of the components of `variance_components`, in squared units of the scores.

    Those of rows and columns are the Tukey-Williams intervals (Williams, 1962): the quantiles of F
    allow for the rest, those of chi-squared for the number of rows or columns. An end below 0 is 0.
    The lower end is above 0 exactly where the F test has p below (1 - confidence) / 2.

    Args:
        scores: (A, B) one run per row and column, A and B >= 2.
        confidence: Nominal coverage of each interval, in (0, 1).

    Raises:
        ValueError: As `variance_components`.
    """
    x = _crossed(scores, "component_intervals")
    m = _mean_squares(x)
    a, b = x.shape
    freedom = (a - 1) * (b - 1)
    ends = (1 + confidence) / 2, (1 - confidence) / 2  # the upper quantile gives the lower end
    chi = scipy.stats.chi2.ppf(ends, freedom)

    def interval(square: float, levels: int, runs: int) -> Interval:
        quantiles = zip(scipy.stats.f.ppf(ends, levels - 1, freedom), scipy.stats.chi2.ppf(ends, levels - 1), strict=True)
        return Interval(*(max(0.0, float((levels - 1) * (square - f * m.rest) / (runs * c))) for f, c in quantiles))

    rest = Interval(*(float(freedom * m.rest / c) for c in chi))
    return ComponentIntervals(interval(m.rows, a, b), interval(m.columns, b, a), rest)


class SpreadRatio(NamedTuple):
    """Ratio of two standard deviations, and its interval."""

    ratio: float
    low: float
    high: float


def spread_ratio(
    treated: ArrayLike, reference: ArrayLike, along: Literal["rows", "columns"], confidence: float = CONFIDENCE
) -> SpreadRatio:
    """Compares two grids in the standard deviation along a side, with the other side held fixed.

    Along columns that is the root of the components of columns and rest together. The variance is a
    sum of two mean squares with Satterthwaite's degrees of freedom, so the ratio has an F interval.
    Both variances get the smaller of their degrees of freedom: with their own, a simulation of equal
    spreads has up to 9 % of intervals without 1 where columns dominate. Both grids count as
    independent; runs that share seeds make the interval wider than needed.

    Args:
        treated: (A, B) one run per row and column, A and B >= 2.
        reference: Likewise.
        along: The seeds over which scores spread.
        confidence: Coverage, in (0, 1).

    Returns:
        Treated over reference; NaN if one of them does not vary.

    Raises:
        ValueError: As `variance_components`.
    """
    (one, of_one), (other, of_other) = (_variance_along(_crossed(x, "spread_ratio"), along) for x in (treated, reference))
    if one == 0 or other == 0:
        return SpreadRatio(float("nan"), float("nan"), float("nan"))
    freedom = min(of_one, of_other)
    high, low = scipy.stats.f.ppf([(1 + confidence) / 2, (1 - confidence) / 2], freedom, freedom)
    return SpreadRatio(*(float(np.sqrt(one / other / f)) for f in (1.0, high, low)))


def _variance_along(x: NDArray[np.float64], along: Literal["rows", "columns"]) -> tuple[float, float]:
    """Returns the variance along a side with the other held fixed, and its degrees of freedom."""
    m = _mean_squares(x)
    fixed, free, square = (x.shape[1], x.shape[0], m.rows) if along == "rows" else (*x.shape, m.columns)
    parts = np.array([square, (fixed - 1) * m.rest]) / fixed
    variance = float(parts.sum())
    freedoms = np.array([free - 1, (fixed - 1) * (free - 1)])
    return variance, float(variance**2 / (parts**2 / freedoms).sum()) if variance else 1.0


class CrossedMean(NamedTuple):
    """Mean over random rows and columns, and its interval."""

    mean: float
    low: float
    high: float


def crossed_mean(values: ArrayLike, confidence: float = CONFIDENCE) -> CrossedMean:
    """Computes the mean of a grid and its t interval, with rows and columns both drawn at random.

    Runs of a row, and runs of a column, share an effect, so the variance of the mean is that of rows,
    of columns and of the rest together: (MS rows + MS columns - MS rest) / (A B), at least the largest
    of the three, with Satterthwaite's degrees of freedom, at least those of the shorter side.

    Args:
        values: (A, B) one per row and column, A and B >= 2.
        confidence: Coverage, in (0, 1).

    Raises:
        ValueError: As `variance_components`.
    """
    x = _crossed(values, "crossed_mean")
    m, least = _mean_squares(x), min(x.shape) - 1
    variance = max(m.rows + m.columns - m.rest, *m)
    a, b = x.shape
    sizes = np.square(m) / [a - 1, b - 1, (a - 1) * (b - 1)]
    freedom = max(least, variance**2 / sizes.sum()) if variance else least
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(variance / x.size))
    mean = float(x.mean())
    return CrossedMean(mean, mean - half, mean + half)


class _MeanSquares(NamedTuple):
    """Mean squares of a two-way analysis of variance without replication."""

    rows: float
    columns: float
    rest: float


def _crossed(scores: ArrayLike, name: str) -> NDArray[np.float64]:
    x = finite(scores, name, ndim=2)
    if min(x.shape) < 2:
        raise ValueError(f"{name}: two rows and columns are the least, got shape {x.shape}")
    return x


def _mean_squares(x: NDArray[np.float64]) -> _MeanSquares:
    a, b = x.shape
    rows, columns = x.mean(axis=1, keepdims=True), x.mean(axis=0, keepdims=True)
    rest = float(np.square(x - rows - columns + x.mean()).sum() / ((a - 1) * (b - 1)))
    return _MeanSquares(float(b * rows.var(ddof=1)), float(a * columns.var(ddof=1)), rest)
