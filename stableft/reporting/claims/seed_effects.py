"""Seed effects: the tests of claims on a square of init seeds x order seeds.

All are about the last scores on validation (`stableft.reporting.grid_axes.seed_scores`). The unit is
a seed of a side, so n is the length of the shorter side.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.core.errors import MissingInput
from stableft.reporting.claims.claim import Evidence, Verdict
from stableft.reporting.claims.hypotheses import Test, together
from stableft.reporting.grid_axes import seed_scores, seed_square
from stableft.statistics import Vector
from stableft.storage.records import Results

SMALLEST = 1 / 138  # one validation example of Zhang et al., Appendix B


def both_contribute(method: str) -> Test:
    """Builds the test that init and order seeds each add to the variance of scores.

    Confirmed if the 95 % interval of either component lies above 0, contradicted if that of one of
    them ends below a standard deviation of `SMALLEST`.
    """
    return _on_tasks(_components, method)


def steadier_over(side: Literal["init", "order"], treated: str, reference: str) -> Test:
    """Builds the test that scores of a method spread less over one kind of seed, the other held fixed.

    Confirmed if the 95 % interval of the ratio of standard deviations lies below 1, contradicted if it
    lies above; see `stableft.statistics.spread_ratio`.
    """

    def decide(one: Vector, other: Vector) -> Evidence:
        found = statistics.spread_ratio(one, other, "rows" if side == "init" else "columns")
        verdict: Verdict = "confirmed" if found.high < 1 else "contradicted" if found.low > 1 else "inconclusive"
        return Evidence(verdict, f"ratio of stds {found.ratio:.2f} ({found.low:.2f} to {found.high:.2f}), {_size(one)}", min(one.shape))

    return _on_tasks(decide, treated, reference)


def mean_higher(treated: str, reference: str) -> Test:
    """Builds the test that a method scores higher, with init and order seeds both drawn at random.

    See `stableft.statistics.crossed_mean`.
    """

    def decide(one: Vector, other: Vector) -> Evidence:
        found = statistics.crossed_mean(one - other)
        verdict: Verdict = "confirmed" if found.low > 0 else "contradicted" if found.high < 0 else "inconclusive"
        numbers = f"{one.mean():.3f} against {other.mean():.3f}, difference {found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
        return Evidence(verdict, f"{numbers}, {_size(one)}", min(one.shape))

    return _on_tasks(decide, treated, reference)


def _components(scores: Vector) -> Evidence:
    components, intervals = statistics.variance_components(scores), statistics.component_intervals(scores)
    verdict: Verdict = "inconclusive"
    if min(intervals.rows.low, intervals.columns.low) > 0:
        verdict = "confirmed"
    elif min(intervals.rows.high, intervals.columns.high) < SMALLEST**2:
        verdict = "contradicted"
    parts = zip(("init", "order", "rest"), components[:3], intervals, strict=True)
    found = ", ".join(f"{name} {one**0.5:.4f} ({low**0.5:.4f} to {high**0.5:.4f})" for name, one, (low, high) in parts)
    return Evidence(verdict, f"std of {found}, {_size(scores)}", min(scores.shape))


def _on_tasks(decide: Callable[..., Evidence], *methods: str) -> Test:
    def test(results: Results) -> Evidence:
        scores = seed_scores(results)
        groups = scores.groupby("task", sort=False, observed=True)
        return together({str(task): decide(*_squares(of_task, str(task), methods)) for task, of_task in groups})

    return test


def _squares(scores: pd.DataFrame, task: str, methods: tuple[str, ...]) -> list[Vector]:
    """Returns (A, B) scores of each method, all of the same seeds.

    Raises:
        MissingInput: a method was not run, or its square has a hole or a single seed on a side.
    """
    squares = [seed_square(scores[scores["method"] == method]) for method in methods]
    for method, square in zip(methods, squares, strict=True):
        if min(square.shape) < 2:
            raise MissingInput(f"{method} on {task}: {square.shape[0]} x {square.shape[1]} seeds, and 2 x 2 are the least")
        if missing := int(square.isna().sum(axis=None)):
            raise MissingInput(f"{method} on {task}: {missing} of {square.size} pairs of seeds are not run")
        if not (square.index.equals(squares[0].index) and square.columns.equals(squares[0].columns)):
            raise MissingInput(f"{' and '.join(methods)} on {task} were run with different seeds")
    return [np.asarray(square, dtype=np.float64) for square in squares]


def _size(scores: Vector) -> str:
    return f"{scores.shape[0]} x {scores.shape[1]} seeds"
