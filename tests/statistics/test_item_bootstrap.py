"""Against loops over resamples and simulated coverage."""

import numpy as np
import pytest

from stableft import statistics


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_seeds_and_items_are_both_resampled() -> None:
    source = rng(1)
    t, r = source.random(size=(2, 6, 30)) < 0.6
    means = []
    for _ in range(4_000):
        seeds, items = source.integers(0, 6, 6), source.integers(0, 30, 30)
        means.append((t.astype(float) - r)[np.ix_(seeds, items)].mean())
    got = statistics.multi_bootstrap(t, r, rng(), resamples=4_000)
    assert got == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)


def test_resamples_in_batches_are_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    t, r = rng(1).random(size=(2, 6, 30)) < 0.6
    whole = statistics.multi_bootstrap(t, r, rng(), resamples=2_000)
    monkeypatch.setattr("stableft.statistics.item_bootstrap.BATCH", 30 * 300)
    assert statistics.multi_bootstrap(t, r, rng(), resamples=2_000) == pytest.approx(whole, abs=0.03)


def test_it_covers_the_truth_about_other_seeds_and_other_items_which_seeds_alone_do_not() -> None:
    source, trials, covered, by_seeds = rng(2), 100, 0, 0
    for _ in range(trials):
        effect = 0.3 + source.normal(0, 0.1, (15, 1)) + source.normal(0, 1, (1, 60)) + source.normal(0, 0.3, (15, 60))
        low, high = statistics.multi_bootstrap(effect, np.zeros_like(effect), source, resamples=300)
        covered += low <= 0.3 <= high
        low, high = statistics.mean_interval(effect.mean(axis=1), source, resamples=300)
        by_seeds += low <= 0.3 <= high
    assert covered / trials >= 0.88
    assert by_seeds / trials < 0.75


def test_degenerate_and_bad_input() -> None:
    assert np.isnan(statistics.multi_bootstrap([[1, 0]], [[0, 0]], rng())).all()
    assert statistics.multi_bootstrap([[1, 1], [1, 1]], [[0, 0], [0, 0]], rng()) == (1, 1)
    with pytest.raises(ValueError, match="paired"):
        statistics.multi_bootstrap([[1, 1]], [[1], [1]], rng())
    with pytest.raises(ValueError, match="NaN"):
        statistics.multi_bootstrap([[1, np.nan]], [[1, 1]], rng())
