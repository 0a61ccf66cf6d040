"""Score draws: bootstrap draws of the mean score of an arm's runs, over new seeds and new items.

Unlike the multi-bootstrap of `stableft.statistics.item_bootstrap`, the score may be any function of
the items, such as F1 or a correlation, and not their mean alone.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from stableft.statistics.intervals import CONFIDENCE, Interval, Vector, bootstrap_weights, ends

RESAMPLES = 1_000
RunScore = Callable[[NDArray[np.int64]], float]
"""Returns the score of one run on the items at some indices, of which some occur several times."""


def score_draws(
    runs: Sequence[RunScore],
    items: int,
    rng: np.random.Generator,
    reference: Sequence[RunScore] | None = None,
    resamples: int = RESAMPLES,
) -> Vector:
    """Draws mean scores of an arm, or mean differences to another arm at the same seeds.

    Seeds and items are resampled independently, with replacement, and alike for both arms (the design
    of Sellam et al., 2022, for paired seeds).

    Args:
        runs: (S,) the runs of the arm, S >= 1. With S = 1 only items vary.
        items: Number of items, >= 1.
        rng: Source of the resamples.
        reference: (S,) the runs of the other arm, in the same order of seeds; None: no other arm.
        resamples: Number of draws R.

    Returns:
        (R,) draws.

    Raises:
        ValueError: There are no runs or items, or the arms have different numbers of runs.
    """
    if not runs or items < 1 or (reference is not None and len(reference) != len(runs)):
        raise ValueError(f"score_draws: {len(runs)} runs, {items} items, and as many runs of the other arm are needed")
    weights = bootstrap_weights(len(runs), resamples, rng)
    draws = np.empty(resamples)
    for number, seeds in enumerate(weights):
        chosen = rng.integers(0, items, size=items)
        drawn = np.flatnonzero(seeds).tolist()
        values = [runs[seed](chosen) - (reference[seed](chosen) if reference else 0.0) for seed in drawn]
        draws[number] = seeds[drawn] @ np.array(values)
    return draws


def interval_of(draws: Vector, confidence: float = CONFIDENCE) -> Interval:
    """Returns the percentile interval of draws."""
    low, high = np.quantile(draws, ends(confidence))
    return Interval(float(low), float(high))


def share_above_zero(draws: Vector) -> float:
    """Returns the share of draws above 0, ties counted half: how sure a difference is to be positive."""
    return float(np.mean((draws > 0) + 0.5 * (draws == 0)))
