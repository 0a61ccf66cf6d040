"""Against brute force, scipy, hand-written numbers and simulated coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from stableft import statistics


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


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


def test_one_seed_one_answer() -> None:
    x = rng(9).normal(size=30)
    assert statistics.paired_difference(x, x[::-1], rng()) == statistics.paired_difference(x, x[::-1], rng())


def test_std_ratio_covers_as_promised() -> None:
    source, trials = rng(6), 250
    inside = 0
    for _ in range(trials):
        shared = source.normal(size=40)
        t, r = shared + source.normal(size=40), 2 * shared + 2 * source.normal(size=40)
        got = statistics.std_ratio(t, r, source, resamples=500)
        inside += got.low <= 0.5 <= got.high
    assert 0.88 <= inside / trials <= 0.99


def test_std_ratio_is_that_of_resampled_pairs() -> None:
    t, r = rng(7).normal(size=(2, 12))
    got = statistics.std_ratio(t, r, rng())
    picks = rng(8).integers(0, 12, size=(20_000, 12))
    ratios = t[picks].std(axis=1, ddof=1) / r[picks].std(axis=1, ddof=1)
    assert got.ratio == pytest.approx(t.std(ddof=1) / r.std(ddof=1))
    assert got[1:3] == pytest.approx(np.quantile(ratios, [0.025, 0.975]), rel=0.05)
    assert got.p == pytest.approx(stats.levene(t, r, center="median").pvalue)


@pytest.mark.filterwarnings("error")
def test_std_ratio_of_arms_that_do_not_spread() -> None:
    spread, flat = [0.1, 0.4, 0.2, 0.7], [0.5, 0.5, 0.5, 0.5]
    assert statistics.std_ratio(flat, spread, rng())[:3] == (0, 0, 0)
    assert statistics.std_ratio(spread, flat, rng())[:3] == (np.inf, np.inf, np.inf)
    for t, r in ((flat, flat), ([0.1], [0.2])):
        assert np.isnan(statistics.std_ratio(t, r, rng())).all()
    two = statistics.std_ratio([0.1, 0.3], [0.5, 0.6], rng())
    assert two[:3] == (pytest.approx(2), pytest.approx(2), pytest.approx(2))
    assert math.isnan(two.p)
    three = statistics.std_ratio([0.55, 0.57, 0.51], [0.5, 0.5, 0.6], rng())
    assert three.low < three.ratio < three.high == np.inf


def test_mcnemar_by_hand() -> None:
    treated, reference = [True] * 1 + [False] * 9, [False] * 3 + [True] * 7
    assert statistics.mcnemar(treated, reference) == (1, 7, pytest.approx(2 * (1 + 8) / 2**8))
    assert statistics.mcnemar([True, False], [True, False]) == (0, 0, 1)
    with pytest.raises(ValueError, match="booleans"):
        statistics.mcnemar([0.5, 1], [0, 1])


def test_improvement_counts_ties_as_half() -> None:
    got = statistics.improvement([1, 2, 3, 4], [0, 2, 4, 3])
    assert got.probability == (2 + 0.5) / 4
    all_better = statistics.improvement(np.ones(10), np.zeros(10))
    wilson = stats.binomtest(10, 10).proportion_ci(method="wilson")
    assert all_better == (1, pytest.approx(wilson.low), pytest.approx(1))


def test_improvement_covers_as_promised() -> None:
    source = rng(9)
    intervals = [statistics.improvement(source.normal(0.5, 1, 20), np.zeros(20)) for _ in range(400)]
    truth = stats.norm.cdf(0.5)
    assert np.mean([low <= truth <= high for _, low, high in intervals]) == pytest.approx(0.95, abs=0.04)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(statistics.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.7]).tolist() == [1, 1]
    assert statistics.holm([0.2]).tolist() == [0.2]
    with pytest.raises(ValueError, match="p-values"):
        statistics.holm([1.2])


def test_holm_keeps_the_level_of_the_family() -> None:
    ps = rng(10).uniform(size=(4_000, 5))
    wrong = np.mean([statistics.holm(p).min() <= 0.05 for p in ps])
    assert wrong == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("bad", [[0.5, float("nan")], [0.5, float("inf")], [], [[0.5]]])
def test_nan_and_misshapen_input_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="paired_difference"):
        statistics.paired_difference(bad, bad, rng())
    with pytest.raises(ValueError, match="std_ratio"):
        statistics.std_ratio(bad, bad, rng())
    for function in (statistics.mcnemar, statistics.improvement):
        with pytest.raises(ValueError, match=function.__name__):
            function(bad, bad)
