"""Against closed forms, scipy, brute force and simulated coverage."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from stableft import statistics


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_summary_has_n_minus_one() -> None:
    s = statistics.summary([0.5, 0.7, 0.9, 0.5])
    assert s == (4, pytest.approx(0.65), pytest.approx(math.sqrt(0.11 / 3)), 0.6, 0.5, 0.9)
    assert math.isnan(statistics.summary([0.5]).std)


@pytest.mark.parametrize(("failed", "n"), [(0, 20), (7, 20), (20, 20), (1, 1)])
def test_wilson_interval_is_the_closed_form(failed: int, n: int) -> None:
    z, p = stats.norm.ppf(0.975), failed / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    got = statistics.failed_runs([True] * failed + [False] * (n - failed))
    assert got[:2] == (failed, n)
    assert got[2:] == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_failed_runs_wants_booleans() -> None:
    with pytest.raises(ValueError, match="booleans"):
        statistics.failed_runs([0.4, 0.6])


def test_mean_interval_is_scipys_bca() -> None:
    x = rng(1).exponential(size=12)
    expected = stats.bootstrap((x,), np.mean, method="BCa", rng=rng()).confidence_interval
    assert statistics.mean_interval(x, rng()) == pytest.approx(expected, abs=1e-12)


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


@pytest.mark.parametrize("n", [1, 2, 6])
def test_sign_flip_p_is_exact(n: int) -> None:
    d = rng(n).normal(0.3, 1, size=n)
    flips = [abs(np.dot(signs, d)) for signs in itertools.product([1, -1], repeat=n)]
    assert statistics.sign_flip_p(d, rng()) == np.mean([flip >= abs(d.sum()) - 1e-12 for flip in flips])


def test_sign_flip_p_counts_ties_and_zeros() -> None:
    assert statistics.sign_flip_p([0.0, 0.0, 0.0], rng()) == 1
    assert statistics.sign_flip_p([0.1, 0.2, 0.3, 0.4, 0.5], rng()) == 2 / 32
    assert statistics.sign_flip_p([0.1, -0.1, 0.1], rng()) == 1


def test_sampled_sign_flip_p_is_near_the_exact_one() -> None:
    d = rng(3).normal(0.45, 1, size=14)
    exact = stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=2**14).pvalue
    assert statistics.sign_flip_p(d, rng()) == pytest.approx(exact, abs=0.015)
    assert statistics.sign_flip_p(np.ones(40), rng()) == 1 / (1 + statistics.SAMPLED_FLIPS)


def test_sign_flip_test_keeps_its_level() -> None:
    source = rng(4)
    p = np.array([statistics.sign_flip_p(source.normal(size=9), source) for _ in range(1000)])
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.02)


def test_paired_difference_removes_what_the_seed_does_to_both() -> None:
    source = rng(5)
    seed_effect = source.normal(0, 10, size=12)
    treated, reference = seed_effect + 1 + source.normal(0, 0.1, 12), seed_effect + source.normal(0, 0.1, 12)
    d = statistics.paired_difference(treated, reference, rng())
    assert d.n == 12
    assert d.mean == pytest.approx(np.mean(treated - reference))
    assert 0.85 < d.low < d.mean < d.high < 1.15
    assert d.p == 2 / 2**12
    back = statistics.paired_difference(reference, treated, rng())
    assert (back.mean, back.p) == (pytest.approx(-d.mean), d.p)


def test_paired_difference_of_one_pair_and_of_equal_arms() -> None:
    one = statistics.paired_difference([0.7], [0.5], rng())
    assert (one.n, one.p) == (1, 1)
    assert math.isnan(one.low)
    assert statistics.paired_difference([0.7, 0.6], [0.7, 0.6], rng()) == (2, 0, 0, 0, 1)
    with pytest.raises(ValueError, match="paired"):
        statistics.paired_difference([0.7, 0.6], [0.7], rng())


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
    for function in (statistics.summary, statistics.failed_runs):
        with pytest.raises(ValueError, match=function.__name__):
            function(bad)
    for function in (statistics.mean_interval, statistics.sign_flip_p):
        with pytest.raises(ValueError, match=function.__name__):
            function(bad, rng())
    with pytest.raises(ValueError, match="paired_difference"):
        statistics.paired_difference(bad, bad, rng())
    with pytest.raises(ValueError, match="curve_interval"):
        statistics.curve_interval([[0.5], [float("nan")]], rng())


def test_one_seed_one_answer() -> None:
    x = rng(9).normal(size=30)
    assert statistics.paired_difference(x, x[::-1], rng()) == statistics.paired_difference(x, x[::-1], rng())
