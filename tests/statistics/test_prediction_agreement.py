"""Against loops over pairs of runs, scipy's distance and Fleiss' own example."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from stableft import statistics

# Fleiss (1971), as reprinted everywhere: 14 raters, 10 items, 5 categories; kappa 0.210.
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


def test_fleiss_kappa_of_the_textbook_example() -> None:
    said = np.array([np.repeat(np.arange(5), votes) for votes in FLEISS]).T
    assert said.shape == (14, 10)
    assert statistics.agreement(said).kappa == pytest.approx(0.210, abs=5e-4)


def test_disagreement_is_the_mean_over_pairs() -> None:
    said = np.random.default_rng(0).integers(0, 4, size=(7, 30))
    pairs = [np.mean(a != b) for a, b in itertools.combinations(said, 2)]
    assert statistics.agreement(said).disagreement == pytest.approx(np.mean(pairs))


def test_chance_full_and_no_agreement() -> None:
    by_chance = np.random.default_rng(1).integers(0, 3, size=(5, 20_000))
    assert statistics.agreement(by_chance).kappa == pytest.approx(0, abs=0.02)
    assert statistics.agreement([[0, 1, 2]] * 4) == (0, 1)
    assert statistics.agreement([[0, 1], [1, 0]]) == (1, -1)
    same = statistics.agreement([[1, 1], [1, 1]])
    assert same.disagreement == 0
    assert np.isnan(same.kappa)
    assert np.isnan(statistics.agreement([[0, 1]])).all()


@pytest.mark.parametrize("block", [20, 100_000])
def test_jensen_shannon_is_scipys_over_pairs(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stableft.statistics.prediction_agreement.BLOCK", block)
    p = np.random.default_rng(2).dirichlet(np.full(5, 0.2), size=(6, 11))
    p[0, 0] = [1, 0, 0, 0, 0]
    pairs = [jensenshannon(*both, base=2) ** 2 for a, b in itertools.combinations(p, 2) for both in zip(a, b, strict=True)]
    assert statistics.jensen_shannon(p) == pytest.approx(np.mean(pairs), abs=1e-6)


def test_small_divergences_keep_their_digits() -> None:
    p = np.float32(np.random.default_rng(3).dirichlet(np.full(5, 2.0), size=(1, 400)))
    near = np.concatenate([p, p * np.array([1.01, 0.99, 1, 1, 1], np.float32)])
    expected = 0.0
    for a, b in zip(*near.astype(np.float64), strict=True):
        expected += sum((x * np.log2(2 * x / (x + y)) + y * np.log2(2 * y / (x + y))) / 2 for x, y in zip(a, b, strict=True)) / 400
    assert statistics.jensen_shannon(near) == pytest.approx(expected, rel=1e-9)


def test_the_ends_of_the_divergence() -> None:
    sure = np.eye(3)[[0, 1, 2, 0]]
    assert statistics.jensen_shannon([sure, sure, sure]) == 0
    assert statistics.jensen_shannon([sure, np.roll(sure, 1, axis=1)]) == 1
    assert np.isnan(statistics.jensen_shannon([sure]))
    with pytest.raises(ValueError, match="finite"):
        statistics.jensen_shannon([sure, sure * np.nan])


def test_absolute_difference_is_the_mean_over_pairs() -> None:
    said = np.random.default_rng(3).normal(size=(6, 9))
    pairs = [np.abs(a - b).mean() for a, b in itertools.combinations(said, 2)]
    assert statistics.absolute_difference(said) == pytest.approx(np.mean(pairs))
    assert np.isnan(statistics.absolute_difference([[1.0, 2.0]]))
