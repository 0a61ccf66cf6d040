"""Against the integral of the sources on a grid, hand-written numbers and simulated coverage."""

import numpy as np
import pytest
from scipy import stats

from stableft import statistics


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def on_a_grid(treated: np.ndarray, reference: np.ndarray, steps: int) -> float:
    """The ratio of both integrals over quantile levels, as the sources' code takes them."""
    levels = (np.arange(steps) + 0.5) / steps
    t, r = (np.quantile(scores, levels, method="inverted_cdf") for scores in (treated, reference))
    return np.sum(np.where(r > t, (r - t) ** 2, 0)) / np.sum((r - t) ** 2)


def test_the_ratio_is_the_integral() -> None:
    t, r = rng(1).normal(size=(2, 20))
    assert statistics.violation_ratio(t, r) == pytest.approx(on_a_grid(t, r, 2_000))


def test_the_ratio_by_hand() -> None:
    assert statistics.violation_ratio([2, 3], [2, 1]) == 0
    assert statistics.violation_ratio([1, 2], [2, 3]) == 1
    assert statistics.violation_ratio([0, 10], [1, 2]) == 1 / 65
    assert statistics.violation_ratio([1, 2], [2, 1]) == 0.5
    t, r = rng(2).normal(size=(2, 9))
    assert statistics.violation_ratio(t, r) == pytest.approx(1 - statistics.violation_ratio(r, t))


def test_epsilon_of_clear_and_of_unclear_order() -> None:
    shared = rng(3).normal(size=30)
    assert statistics.almost_stochastic_order(shared + 3, shared, rng()) == 0
    assert statistics.almost_stochastic_order(shared, shared + 3, rng()) == 1
    wider = 2 * rng(4).normal(size=30)
    assert statistics.almost_stochastic_order(shared, wider, rng()) > 0.5
    assert statistics.almost_stochastic_order(wider, shared, rng()) > 0.5
    assert np.isnan(statistics.almost_stochastic_order([1], [2], rng()))


def test_epsilon_is_an_upper_bound() -> None:
    source, inside = rng(5), 0
    levels = (np.arange(10_000) + 0.5) / 10_000
    t, r = stats.norm.ppf(levels, 0.4, 1), stats.norm.ppf(levels, 0, 1.5)
    truth = on_a_grid(t, r, 10_000)
    for _ in range(200):
        t, r = source.normal(0.4, 1, 60), source.normal(0, 1.5, 60)
        inside += statistics.almost_stochastic_order(t, r, source, resamples=200) >= truth
    assert inside / 200 >= 0.9
