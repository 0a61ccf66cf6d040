"""Against closed forms, scipy and simulated coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from stableft import statistics


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("failed", "n"), [(0, 20), (7, 20), (20, 20), (1, 1)])
def test_wilson_interval_is_the_closed_form(failed: int, n: int) -> None:
    z, p = stats.norm.ppf(0.975), failed / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert statistics.wilson_interval(p, n) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_mean_interval_is_scipys_bca() -> None:
    x = rng(1).exponential(size=12)
    expected = stats.bootstrap((x,), np.mean, method="BCa", rng=rng()).confidence_interval
    assert statistics.mean_interval(x, rng()) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scores", [[1, 2, 4], [1, 1, 6], [3, 5, 6, 7], [2, 3, 3, 7, 11]])
def test_resamples_in_another_order_tie_with_the_sample(scores: list[int]) -> None:
    """Sums of whole numbers have no rounding errors; those of tenths depend on their order."""
    whole = statistics.mean_interval(scores, rng())
    for unit in (0.1, 0.7, 1e-9):
        assert statistics.mean_interval(np.array(scores) * unit, rng()) == pytest.approx((whole.low * unit, whole.high * unit))


def test_mean_interval_of_degenerate_input() -> None:
    assert statistics.mean_interval([0.3, 0.3, 0.3], rng()) == (0.3, 0.3)
    assert np.isnan(statistics.mean_interval([0.3], rng())).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scores", [[0.1, 0.7], [0.5, 0.5, 0.7], [0.5] * 9 + [0.7], [0.5, 0.5 + 1e-12]])
def test_mean_interval_of_few_distinct_scores_is_finite_and_inside_the_range(scores: list[float]) -> None:
    low, high = statistics.mean_interval(scores, rng())
    assert min(scores) - 1e-12 <= low <= high <= max(scores) + 1e-12


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_mean_interval_covers_as_promised(draw: str) -> None:
    source, truth = rng(2), {"normal": 0.0, "exponential": 1.0}[draw]
    intervals = [statistics.mean_interval(getattr(source, draw)(size=25), source, resamples=500) for _ in range(250)]
    covered = np.mean([low <= truth <= high for low, high in intervals])
    assert 0.88 <= covered <= 0.98


def test_curve_interval_resamples_whole_seeds_and_treats_points_alone() -> None:
    curves = rng(6).normal(size=(8, 3)) * [1, 2, 0] + [0, 5, 7]
    low, high = statistics.curve_interval(curves, rng())
    assert low.shape == high.shape == (3,)
    for point in range(3):
        alone = statistics.curve_interval(curves[:, [point]], rng())
        np.testing.assert_allclose(np.ravel(alone), [low[point], high[point]], rtol=1e-12)
    np.testing.assert_allclose([low[2], high[2]], 7)
    picks = rng(7).integers(0, 8, size=(20_000, 8))
    np.testing.assert_allclose([low, high], np.quantile(curves[picks].mean(axis=1), [0.025, 0.975], axis=0), atol=0.12)


def test_curve_interval_covers_as_promised() -> None:
    source = rng(8)
    covered = 0.0
    for _ in range(200):
        low, high = statistics.curve_interval(source.normal(size=(30, 4)), source, resamples=400)
        covered += np.mean((low <= 0) & (high >= 0)) / 200
    assert 0.90 <= covered <= 0.97


def test_curve_interval_of_one_seed_is_none() -> None:
    assert np.isnan(statistics.curve_interval([[1.0, 2.0]], rng())).all()


@pytest.mark.parametrize("bad", [[0.5, float("nan")], [0.5, float("inf")], [], [[0.5]]])
def test_nan_and_misshapen_input_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="mean_interval"):
        statistics.mean_interval(bad, rng())
    with pytest.raises(ValueError, match="curve_interval"):
        statistics.curve_interval([[0.5], [float("nan")]], rng())
