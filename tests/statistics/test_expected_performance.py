"""Against brute force over all draws, the released formula and the values of the protocol's own replication."""

import itertools
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stableft import statistics

VALIDATION = [0.7, 0.5, 0.9, 0.7, 0.6]
TEST = [0.61, 0.52, 0.58, 0.65, 0.40]


def brute_force(validation: list[float], test: list[float], n: int, replacement: bool) -> tuple[float, float]:
    """Every draw of n runs; of tied best ones each is chosen as often as it was drawn."""
    runs = range(len(test))
    draws = itertools.product(runs, repeat=n) if replacement else itertools.combinations(runs, n)
    means, squares = [], []
    for draw in draws:
        best = max(validation[run] for run in draw)
        chosen = [test[run] for run in draw if validation[run] == best]
        means.append(np.mean(chosen))
        squares.append(np.mean(np.square(chosen)))
    mean = np.mean(means)
    return float(mean), float(np.sqrt(np.mean(squares) - mean**2))


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("test", [TEST, VALIDATION])
def test_brute_force_over_all_draws_with_ties(test: list[float], replacement: bool) -> None:
    got = statistics.best_of_n(VALIDATION, test, replacement)
    expected = [brute_force(VALIDATION, test, n, replacement) for n in range(1, 6)]
    np.testing.assert_allclose(np.transpose(got), expected, atol=1e-8)


def test_the_formulas_of_the_sources() -> None:
    scores = np.random.default_rng(0).normal(size=30)
    ordered, size = np.sort(scores), 30
    i = np.arange(1, size + 1)
    for n in (1, 2, 7, 30):
        with_replacement = (ordered * ((i / size) ** n - ((i - 1) / size) ** n)).sum()
        without = sum(ordered[k - 1] * comb(k - 1, n - 1) / comb(size, n) for k in range(1, size + 1))
        assert statistics.expected_best(scores)[n - 1] == pytest.approx(with_replacement, abs=1e-12)
        assert statistics.expected_best(scores, replacement=False)[n - 1] == pytest.approx(without, abs=1e-12)


def test_one_draw_is_the_mean_and_all_without_replacement_the_best() -> None:
    mean, std = statistics.best_of_n(VALIDATION, TEST, replacement=False)
    assert (mean[0], std[0]) == (pytest.approx(np.mean(TEST)), pytest.approx(np.std(TEST)))
    assert (mean[-1], std[-1]) == (0.58, 0)
    assert statistics.expected_best([0.4]).tolist() == [0.4]


def test_what_is_best_on_validation_need_not_be_on_test() -> None:
    mean = statistics.expected_test_of_best([0.5, 0.6, 0.7], [0.9, 0.8, 0.1])
    assert mean[0] > mean[1] > mean[2]


def test_zhang_et_al_draw_at_random_what_is_exact_here() -> None:
    rng = np.random.default_rng(1)
    validation = rng.normal(size=20)
    test = 0.5 * validation + rng.normal(size=20)
    for n in (1, 5, 20):
        drawn = rng.integers(0, 20, size=(20_000, n))
        chosen = test[drawn[np.arange(20_000), validation[drawn].argmax(axis=1)]]
        mean, std = statistics.best_of_n(validation, test)
        assert chosen.mean() == pytest.approx(mean[n - 1], abs=4 * chosen.std() / 20_000**0.5)
        assert chosen.std() == pytest.approx(std[n - 1], rel=0.1)


@settings(deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=25), st.booleans())
def test_the_expected_best_never_falls_and_stays_in_the_range(scores: list[float], replacement: bool) -> None:
    best = statistics.expected_best(scores, replacement)
    assert (np.diff(best) >= -1e-9).all()
    assert min(scores) - 1e-9 <= best[0]
    assert best[-1] <= max(scores) + 1e-9


def test_a_thousand_runs_stay_exact() -> None:
    best = statistics.expected_best(np.arange(1_000.0), replacement=False)
    n = np.arange(1, 1_001)
    np.testing.assert_allclose(best, n * 1_001 / (n + 1) - 1, rtol=1e-10)  # the expected maximum of n of 1..N, less 1


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        statistics.expected_best([0.5, float("nan")])
    with pytest.raises(ValueError, match="same runs"):
        statistics.expected_test_of_best([0.5, 0.6], [0.5])


def test_stopping_none_is_the_best_of_all_started_and_one_the_final_score_of_the_leader() -> None:
    rng = np.random.default_rng(0)
    early, final = rng.normal(size=(2, 6))
    whole = statistics.best_after_stopping(early, final, 3, 3, np.random.default_rng(1))
    assert whole == pytest.approx(statistics.expected_best(final, replacement=False)[2], abs=0.03)
    leader = statistics.best_after_stopping(early, final, 6, 1, np.random.default_rng(1), draws=5)
    assert leader == pytest.approx(final[early.argmax()])
    ties = statistics.best_after_stopping(np.zeros(6), final, 6, 1, np.random.default_rng(1))
    assert ties == pytest.approx(final.mean(), abs=0.05)
    with pytest.raises(ValueError, match="continued 2 of started 1"):
        statistics.best_after_stopping(early, final, 1, 2, rng)
    with pytest.raises(ValueError, match="not of the same runs"):
        statistics.best_after_stopping(early, final[:3], 1, 1, rng)
