"""Against brute force over all sign patterns, and scipy."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from stableft import statistics


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scipys_wilcoxon(difference: ArrayLike, **how: Any) -> float:
    return float(np.asarray(stats.wilcoxon(difference, **how))[1])


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


@pytest.mark.parametrize("n", [1, 5, 12, 30, 60])
def test_wilcoxon_is_scipys(n: int) -> None:
    d = rng(n).normal(0.3, 1, size=n)
    assert statistics.wilcoxon_p(d) == pytest.approx(scipys_wilcoxon(d))


def test_wilcoxon_by_hand_with_zeros_and_ties() -> None:
    assert statistics.wilcoxon_p([1, 2, 3, 4, 5]) == 2 / 32
    assert statistics.wilcoxon_p([0, 0, 1, 2, 3]) == 2 / 8
    assert statistics.wilcoxon_p([0.0, 0.0]) == 1
    tied = [0.1, 0.1, -0.1, 0.2, 0.3, 0.3]
    assert statistics.wilcoxon_p(tied) == pytest.approx(scipys_wilcoxon(tied, method=stats.PermutationMethod()))
    many = np.round(rng(5).normal(0.3, 1, size=40), 1)
    assert statistics.wilcoxon_p(many) == pytest.approx(scipys_wilcoxon(many, method="asymptotic"))


@pytest.mark.parametrize("bad", [[0.5, float("nan")], [0.5, float("inf")], [], [[0.5]]])
def test_nan_and_misshapen_input_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="sign_flip_p"):
        statistics.sign_flip_p(bad, rng())
    with pytest.raises(ValueError, match="wilcoxon_p"):
        statistics.wilcoxon_p(bad)
