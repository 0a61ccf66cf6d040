"""Against scipy's simulation of the very test that the tables report, and tabulated sample sizes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stableft import statistics


@pytest.mark.parametrize(("n", "effect", "error"), [(6, 1.5, 0.12), (9, 1.0, 0.06), (12, 0.9, 0.04), (20, 0.6, 0.04), (50, 0.4, 0.04)])
def test_power_is_near_that_of_the_simulated_sign_flip_test(n: int, effect: float, error: float) -> None:
    rng = np.random.default_rng(n)
    significant = statistics.sign_flip_ps(rng.normal(effect, 1, (1_000, n)), rng, 999) <= 0.05
    assert np.mean(significant) == pytest.approx(statistics.power(effect, 1, n), abs=error)


def test_power_is_that_of_the_t_test_where_the_level_can_be_attained() -> None:
    rng = np.random.default_rng(0)
    p = stats.ttest_1samp(rng.normal(0.5, 1, (20_000, 30)), 0, axis=1).pvalue
    assert statistics.power(0.5, 1, 30) == pytest.approx(np.mean(p <= 0.05), abs=0.015)
    assert statistics.power(0, 1, 30) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_tabulated_sample_sizes_of_the_paired_t_test(effect: float, n: int) -> None:
    """Cohen's small, medium and large effects at 0.05 and 0.8, as power calculators give them."""
    assert statistics.seeds_needed(effect, 1) == n
    assert statistics.power(effect, 1, n) >= 0.8 > statistics.power(effect, 1, n - 1)


def test_too_few_pairs_for_any_effect() -> None:
    assert statistics.power(1e6, 1, 5) == 0
    assert statistics.minimum_detectable(1, 5) == math.inf
    assert statistics.power(1e6, 1, 6) == 1
    assert statistics.seeds_needed(1e6, 1) == statistics.seeds_needed(1, 0) == 6
    assert statistics.seeds_needed(1, 0, alpha=0.001) == 11


def test_no_effect_and_a_tiny_one() -> None:
    assert statistics.seeds_needed(0, 1) is None
    assert statistics.seeds_needed(0, 0) is None
    assert statistics.seeds_needed(1e-4, 1) is None
    assert statistics.power(1, 0, 9) == 1
    assert statistics.power(0, 0, 9) == 0
    assert statistics.minimum_detectable(0, 9) == 0


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 5), st.integers(6, 500))
def test_the_minimum_detectable_effect_has_the_wanted_power(std: float, n: int) -> None:
    effect = statistics.minimum_detectable(std, n)
    assert statistics.power(effect, std, n) == pytest.approx(0.8, abs=1e-6)
    needed = statistics.seeds_needed(effect * (1 + 1e-7), std)
    assert needed is not None
    assert needed <= n


def test_power_grows_with_seeds_also_where_the_attainable_level_jumps() -> None:
    grown = [statistics.power(0.7, 1, n) for n in range(1, 80)]
    assert grown == sorted(grown)


@pytest.mark.parametrize("arguments", [(1, -1, 9), (1, math.nan, 9), (1, 1, 0), (1, 1, 9, 1.5)])
def test_impossible_settings_are_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="power"):
        statistics.power(*arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="wanted"):
        statistics.minimum_detectable(1, 9, power=0.01)


def test_verdicts_of_all_seeds_are_the_test_itself() -> None:
    d = np.random.default_rng(1).normal(0.5, 1, 20)
    assert statistics.sign_flip_p(d, np.random.default_rng(0)) < 0.05
    assert statistics.verdicts(d, 20, np.random.default_rng(0)) == (1, 0)
    assert statistics.verdicts(-d, 20, np.random.default_rng(0)) == (0, 1)


def test_five_seeds_never_decide_and_six_agreeing_ones_do() -> None:
    rng = np.random.default_rng(2)
    assert statistics.verdicts(np.ones(30), 5, rng) == (0, 0)
    assert statistics.verdicts(np.ones(30), 6, rng) == (1, 0)
    assert statistics.verdicts(np.zeros(30), 20, rng) == (0, 0)


def test_verdicts_of_subsamples_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(3)
    d = rng.normal(0.7, 1, 24)
    for n, replacement in ((10, False), (30, True)):
        drawn = [rng.choice(d, n, replace=replacement) for _ in range(300)]
        significant = [statistics.sign_flip_p(part, rng) <= 0.05 for part in drawn]
        assert statistics.verdicts(d, n, rng).better == pytest.approx(np.mean(significant), abs=0.12)


def test_many_seeds_beyond_those_there_are_take_the_observed_effect_for_true() -> None:
    rng = np.random.default_rng(4)
    d = rng.normal(0.5, 1, 10)
    shares = [statistics.verdicts(d, n, rng).better for n in (10, 20, 50)]
    assert shares[2] > shares[1] > 0.2
