"""Score draws against the multi-bootstrap, closed forms and simulation."""

import numpy as np
import pytest

from stableft.statistics.intervals import resampling
from stableft.statistics.item_bootstrap import multi_bootstrap
from stableft.statistics.score_draws import interval_of, score_draws, share_above_zero


def means(scores: np.ndarray) -> list:
    return [lambda items, row=row: float(row[items].mean()) for row in scores]


def test_of_means_it_agrees_with_the_multi_bootstrap() -> None:
    rng = np.random.default_rng(0)
    treated, reference = (rng.random((8, 60)) < p for p in (0.8, 0.7))
    ours = interval_of(score_draws(means(treated), 60, resampling(), means(reference), resamples=4000))
    theirs = multi_bootstrap(treated, reference, resampling(), resamples=4000)
    np.testing.assert_allclose(ours, theirs, atol=0.015)


def test_equal_runs_have_no_difference_and_constant_ones_no_spread() -> None:
    runs = means(np.random.default_rng(1).random((4, 30)))
    draws = score_draws(runs, 30, resampling(), runs)
    assert (draws == 0).all()
    assert share_above_zero(draws) == 0.5
    np.testing.assert_allclose(score_draws([lambda items: 0.25] * 3, 30, resampling()), 0.25)


def test_with_one_run_only_items_vary() -> None:
    x = np.random.default_rng(2).random(400)
    draws = score_draws(means(x[None]), 400, resampling(), resamples=4000)
    assert draws.std() == pytest.approx(x.std() / 20, rel=0.05)


def test_the_interval_covers_the_truth() -> None:
    """Runs with a seed effect and items with an effect of their own, both normal: 95 % within sampling error of few seeds."""
    rng, hits = np.random.default_rng(3), 0
    for _ in range(200):
        scores = rng.normal(0, 0.1, (12, 1)) + rng.normal(0, 0.5, (1, 50)) + rng.normal(0, 0.2, (12, 50))
        low, high = interval_of(score_draws(means(scores), 50, rng, resamples=200))
        hits += low <= 0 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_what_cannot_be_drawn_is_refused() -> None:
    run = means(np.zeros((1, 3)))
    for runs, items, reference in (([], 3, None), (run, 0, None), (run, 3, run * 2)):
        with pytest.raises(ValueError, match="score_draws"):
            score_draws(runs, items, resampling(), reference)
